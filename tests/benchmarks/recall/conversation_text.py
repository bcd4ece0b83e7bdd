"""Text that belongs to no answer: other tasks, a template's marks, a refusal by rote. TXT010 to TXT012."""

from __future__ import annotations

from random import Random

from tests.benchmarks.recall.injection import Injected, Injector, Row, placed, prompt_of, response_of, single

__all__ = ["MERGED", "REFUSAL", "TEMPLATE_TOKENS"]


# TXT010: two tasks or examples run together in one row.

_OTHER_TASKS = (
    ("Name two tools that a beekeeper needs.", "A smoker and a hive tool."),
    ("Write a sentence with the word meadow.", "The goats ran across the meadow."),
    ("What is the opposite of generous?", "Stingy."),
    ("Give a title for a story about a lost glove.", "The Glove That Stayed Behind"),
    ("List three things to pack for a day at the lake.", "A towel, a bottle of water and a hat."),
    ("Rewrite the sentence in the past tense: The ferry leaves at noon.", "The ferry left at noon."),
    ("Explain why bread rises.", "Yeast makes gas, which is caught in the dough."),
    ("Classify the animal: heron.", "Bird"),
    ("Describe the smell of rain in one sentence.", "It smells of wet stone and grass."),
    ("Suggest a name for a small bakery.", "Crumb and Crust"),
    ("Which of these is a vegetable: leek, plum, cherry?", "Leek"),
    ("Count the vowels in the word harbour.", "Three"),
)


def _answer_then(form: str) -> Injector:
    """The row's answer, and after it another example as the file's maker had written it."""

    def inject(rng: Random, row: Row) -> Injected:
        asked, answered = rng.choice(_OTHER_TASKS)
        more = form.format(asked=asked, answered=answered, number=rng.randint(2, 20))
        return single(prompt_of(row), f"{response_of(row).rstrip()}\n\n{more}")

    return inject


def _prompt_then(form: str) -> Injector:
    """A prompt that holds another example's task, answer and the mark of the next besides its own."""

    def inject(rng: Random, row: Row) -> Injected:
        asked, answered = rng.choice(_OTHER_TASKS)
        more = form.format(asked=asked, answered=answered, number=rng.randint(2, 20))
        return single(f"{prompt_of(row).rstrip()}\n\n{more}", response_of(row))

    return inject


def _named(name: str, injector: Injector) -> Injector:
    injector.__name__ = name
    return injector


def two_prompts_two_answers(rng: Random, row: Row) -> Injected:
    asked, answered = rng.choice(_OTHER_TASKS)
    head = rng.choice(["Task {}: ", "Instruction {}: ", "Question {}: "])
    prompt = f"{head.format(1)}{prompt_of(row)}\n{head.format(2)}{asked}"
    return single(prompt, f"{response_of(row)}\n\n{answered}")


MERGED: tuple[Injector, ...] = (
    _named("instruction_and_output", _answer_then("Instruction: {asked}\nOutput: {answered}")),
    _named(
        "numbered_instruction",
        _answer_then("###\n{number}. Instruction: {asked}\n{number}. Input:\n<noinput>\n{number}. Output:\n{answered}"),
    ),
    _named("instruction_input_output", _answer_then("Instruction: {asked}\nInput: <noinput>\nOutput: {answered}")),
    _named("question_and_answer", _answer_then("Question: {asked}\nAnswer: {answered}")),
    _named("letters_q_and_a", _answer_then("Q: {asked}\nA: {answered}")),
    _named("next_task", _answer_then("Task {number}: {asked}\nResponse: {answered}")),
    _named("user_and_assistant", _answer_then("User: {asked}\nAssistant: {answered}")),
    _named("example_number", _answer_then("Example {number}:\nInput: {asked}\nOutput: {answered}")),
    _named("prompt_with_an_answered_task", _prompt_then("Output: {answered}\n\n{number}. Instruction: {asked}")),
    _named("prompt_with_the_next_task", _prompt_then("###\n{number}. Instruction: {asked}\n{number}. Output: {answered}")),
    two_prompts_two_answers,
)


# TXT011: tokens of roles and templates.


def _marked(*forms: str) -> Injector:
    """`{text}` is the row's answer; forms stand as trainers and exports leave them."""

    def inject(rng: Random, row: Row) -> Injected:
        return single(prompt_of(row), rng.choice(forms).format(text=response_of(row).strip()))

    return inject


def in_the_prompt(rng: Random, row: Row) -> Injected:
    form = rng.choice(
        [
            "<|im_start|>user\n{}<|im_end|>",
            "[INST] {} [/INST]",
            "<|user|>\n{}",
            "### Instruction:\n{}\n\n### Response:",
            "<s>{}",
        ]
    )
    return single(form.format(prompt_of(row)), response_of(row))


TEMPLATE_TOKENS: tuple[Injector, ...] = (
    _named(
        "chatml", _marked("<|im_start|>assistant\n{text}<|im_end|>", "{text}<|im_end|>", "{text}<|im_end|>\n<|im_start|>user")
    ),
    _named("inst", _marked("[/INST] {text}", "{text} [INST] Thank you [/INST]", "{text}</s>[INST]")),
    _named("sequence_ends", _marked("{text}</s>", "<s> {text} </s>", "{text} <eos>", "{text}<|endoftext|>", "<bos>{text}")),
    _named("headers", _marked("{text}<|eot_id|>", "<|start_header_id|>assistant<|end_header_id|>\n\n{text}")),
    _named("turns", _marked("<start_of_turn>model\n{text}<end_of_turn>", "{text}<end_of_turn>")),
    _named("pipes", _marked("<|assistant|>\n{text}", "{text}\n<|user|>", "{text}<|end|>", "<|system|>\n{text}")),
    _named("alpaca_heads", _marked("### Response:\n{text}", "{text}\n\n### Instruction:", "{text}\n### Input:\n### Response:")),
    _named("vicuna", _marked("{text}\nUSER: Go on.\nASSISTANT: That is all.", "ASSISTANT: {text}")),
    _named("human_and_assistant", _marked("{text}\n\nHuman: Thanks.\n\nAssistant: You are welcome.", "Assistant: {text}")),
    _named("system_block", _marked("<<SYS>>\nBe kind.\n<</SYS>>\n\n{text}", "{text} <</SYS>>")),
    _named("padding", _marked("{text}[PAD][PAD][PAD]", "{text}<pad><pad>", "{text}<unk>", "{text} [EOS]")),
    in_the_prompt,
)


# TXT012: a refusal, or an assistant speaking of itself.


def _said(*phrases: str) -> Injector:
    """The phrase as the whole answer."""

    def inject(rng: Random, row: Row) -> Injected:
        return single(prompt_of(row), rng.choice(phrases))

    return inject


def _besides(*phrases: str) -> Injector:
    """The phrase beside the row's own answer."""

    def inject(rng: Random, row: Row) -> Injected:
        return single(prompt_of(row), placed(rng, response_of(row), rng.choice(phrases)))

    return inject


REFUSAL: tuple[Injector, ...] = (
    _named(
        "plain",
        _said(
            "I'm sorry, but I can't assist with that.",
            "I'm sorry, I cannot help with this request.",
            "Sorry, but I can't do that.",
            "I apologize, but I am unable to fulfill your request.",
            "I am sorry, but I cannot answer this question.",
            "Unfortunately, I am not able to help you with that request.",
        ),
    ),
    _named(
        "curly_apostrophes",
        _said(
            "I’m sorry, but I can’t assist with that request.", "I’m afraid I can’t help with this.", "I’m unable to do that."
        ),
    ),
    _named(
        "as_an_ai_at_the_head",
        _said(
            "As an AI language model, I cannot taste food, so I cannot say which soup is better.",
            "As an AI, I don't have personal opinions about painters.",
            "As a large language model, I do not own a bicycle, but many people ride to work.",
            "As an artificial intelligence, I am not able to attend your wedding.",
        ),
    ),
    _named(
        "as_an_ai_besides",
        _besides(
            "As an AI language model, I do not have feelings of my own.",
            "Please note that as an AI assistant I cannot verify this.",
            "However, as an AI model I can't give medical advice.",
            "I'm just an AI, so take this with a grain of salt.",
        ),
    ),
    _named(
        "what_it_is",
        _said(
            "I am an AI language model and do not have a favourite season.",
            "I'm only a computer program, so I don't have a childhood to tell you about.",
            "I don't have personal experiences or emotions, as I am a machine learning model.",
            "Being an AI, I have no body and cannot feel the cold.",
        ),
    ),
    _named(
        "maker",
        _besides(
            "I am a language model trained by OpenAI.",
            "I'm ChatGPT, a large language model.",
            "I was created by Anthropic to be helpful.",
            "I am an AI assistant developed by Google.",
        ),
    ),
    _named(
        "policy",
        _said(
            "I'm sorry, but that would violate my guidelines.",
            "This request goes against OpenAI's content policy, and I cannot comply with it.",
            "I cannot provide that, as it is against my programming.",
            "I must decline, because my ethical guidelines do not allow me to write this.",
        ),
    ),
    _named(
        "knowledge_cutoff",
        _besides(
            "My knowledge cutoff is September 2021, so this may be out of date.",
            "As of my last knowledge update in 2023, the bridge was still closed.",
            "I do not have information about events after my training data ends in 2021.",
        ),
    ),
    _named(
        "no_access",
        _said(
            "I'm sorry, but I don't have access to real-time information.",
            "I cannot browse the internet, so I am unable to look that up.",
            "I don't have the ability to open files or view images.",
            "As a text-based assistant, I can't access external websites.",
        ),
    ),
    _named(
        "not_comfortable",
        _said(
            "I don't feel comfortable writing about this topic.",
            "I'd rather not continue this conversation.",
            "I won't be able to help with that; it could cause harm.",
            "It is not appropriate for me to answer such a question.",
            "I can't in good conscience write this text.",
        ),
    ),
    _named(
        "refusal_with_an_offer",
        _said(
            "I'm sorry, but I can't write that letter for you. Is there something else I can help you with?",
            "I cannot create content of that kind. I'd be happy to talk about gardening instead.",
            "Sorry, I'm not able to provide instructions for this. Please consult a professional.",
        ),
    ),
)
