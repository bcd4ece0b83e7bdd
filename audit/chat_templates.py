"""Chat templates by name, and those of files: for tokenizers that have none, and to see what another one would do.

The named ones are written here after the forms that models are commonly tuned in. Each marks what the assistant says with
`{% generation %}`, its end of turn included, so that a trainer can take the loss on answers alone; a space before an
answer stands outside of that, because many tokenizers count it to no token, and transformers then marks nothing. Where a
form has tokens of its own it is offered only with a tokenizer that knows them: others would spell them out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.config import unknown_name
from audit.errors import InputError

__all__ = ["NAMED_TEMPLATES", "NamedTemplate", "has_generation_marks", "offered_templates", "read_chat_template"]


@dataclass(frozen=True)
class NamedTemplate:
    """A chat template that is known by name.

    Attributes:
        name: As `--chat-template` takes it.
        what: Its form in a few words.
        text: The template, Jinja.
        needs: What a tokenizer must have: names of special tokens (`eos_token`), or tokens as they are written.
    """

    name: str
    what: str
    text: str
    needs: tuple[str, ...]


# What the assistant says: its text, and its calls as Hermes writes them.
_ANSWER = (
    "{{ message.content or '' }}"
    "{% for call in message.tool_calls or [] %}"
    "{{ '\\n<tool_call>\\n' + (call.function or call)|tojson + '\\n</tool_call>' }}"
    "{% endfor %}"
)
_TOOLS = (
    "{{ 'You may call these tools:' }}"
    "{% for tool in tools %}{{ '\\n' + (tool.function or tool)|tojson }}{% endfor %}"
    '{{ \'\\nA call is written as <tool_call>{"name": …, "arguments": …}</tool_call>.\' }}'
)


def _marked(open_: str, close: str) -> str:
    """A template of turns that begin with `open_`, in which `ROLE` stands for the role, and end with `close`."""
    begin = "{{ '" + open_.replace("ROLE", "' + message.role + '") + "' }}"
    system = "{{ '" + open_.replace("ROLE", "system") + "' }}"
    return (
        "{% if tools %}"
        f"{system}{_TOOLS}{{{{ {close} + '\\n' }}}}"
        "{% endif %}"
        "{% for message in messages %}"
        f"{begin}"
        "{% if message.role == 'assistant' %}"
        f"{{% generation %}}{_ANSWER}{{{{ {close} }}}}{{% endgeneration %}}"
        "{% else %}"
        f"{{{{ (message.content or '') + {close} }}}}"
        "{% endif %}"
        "{{ '\\n' }}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ '" + open_.replace("ROLE", "assistant") + "' }}{% endif %}"
    )


_ALPACA = (
    "{% for message in messages %}"
    "{% if message.role == 'assistant' %}"
    "{{ '### Response:\\n' }}{% generation %}{{ message.content + eos_token }}{% endgeneration %}"
    "{% elif message.role == 'system' %}{{ message.content + '\\n\\n' }}"
    "{% else %}{{ '### Instruction:\\n' + message.content + '\\n\\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}"
)
_VICUNA = (
    "{% for message in messages %}"
    "{% if message.role == 'assistant' %}"
    "{{ 'ASSISTANT: ' }}{% generation %}{{ message.content + eos_token }}{% endgeneration %}"
    "{% elif message.role == 'system' %}{{ message.content + ' ' }}"
    "{% elif message.role == 'user' %}{{ 'USER: ' + message.content + ' ' }}"
    "{% else %}{{ raise_exception('the vicuna form has no role ' + message.role) }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
_LLAMA2 = (
    "{% set found = namespace(system='') %}"
    "{% for message in messages %}"
    "{% if message.role == 'system' %}"
    "{% set found.system = found.system + '<<SYS>>\\n' + message.content + '\\n<</SYS>>\\n\\n' %}"
    "{% elif message.role == 'user' %}"
    "{{ bos_token + '[INST] ' + found.system + message.content + ' [/INST]' }}{% set found.system = '' %}"
    "{% elif message.role == 'assistant' %}"
    "{{ ' ' }}{% generation %}{{ message.content + ' ' + eos_token }}{% endgeneration %}"
    "{% else %}{{ raise_exception('the llama2 form has no role ' + message.role) }}{% endif %}"
    "{% endfor %}"
)
_MISTRAL = (
    "{% if bos_token %}{{ bos_token }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) or message.role not in ['user', 'assistant'] %}"
    "{{ raise_exception('the mistral form has turns of user and assistant by turns, and no system') }}"
    "{% elif message.role == 'user' %}{{ '[INST] ' + message.content + ' [/INST]' }}"
    "{% else %}{{ ' ' }}{% generation %}{{ message.content + eos_token }}{% endgeneration %}{% endif %}"
    "{% endfor %}"
)

NAMED_TEMPLATES: tuple[NamedTemplate, ...] = (
    NamedTemplate("alpaca", "headings ### Instruction: and ### Response:", _ALPACA, ("eos_token",)),
    NamedTemplate(
        "chatml",
        "<|im_start|>ROLE … <|im_end|>, with tools",
        _marked("<|im_start|>ROLE\\n", "'<|im_end|>'"),
        ("<|im_start|>", "<|im_end|>"),
    ),
    NamedTemplate(
        "zephyr", "<|ROLE|> and the end-of-text token, with tools", _marked("<|ROLE|>\\n", "eos_token"), ("eos_token",)
    ),
    NamedTemplate("vicuna", "USER: … ASSISTANT: …, no tools", _VICUNA, ("eos_token",)),
    NamedTemplate("llama2", "[INST] <<SYS>> … <</SYS>> … [/INST], no tools", _LLAMA2, ("bos_token", "eos_token")),
    NamedTemplate("mistral", "[INST] … [/INST], without a system role", _MISTRAL, ("eos_token",)),
)
"""The named templates; `alpaca` renders what a base model without a template of its own is given."""


def offered_templates(tokenizer: Any) -> tuple[NamedTemplate, ...]:
    """The named templates whose tokens a tokenizer of transformers has."""
    vocabulary = tokenizer.get_added_vocab()
    special = tokenizer.special_tokens_map
    return tuple(
        template
        for template in NAMED_TEMPLATES
        if all(special.get(need) if need.endswith("_token") else need in vocabulary for need in template.needs)
    )


def read_chat_template(given: str, tokenizer: Any) -> str:
    """The template that a user names.

    Args:
        given: A name, or a file that ends in .jinja, .jinja2 or .j2.
        tokenizer: Of transformers; a named template must fit it.

    Raises:
        InputError: There is no such name (the nearest is named) or file, its tokens are not the tokenizer's, or the file
            is no valid Jinja.
    """
    if given.endswith((".jinja", ".jinja2", ".j2")) or "/" in given:
        return _read_file(Path(given))
    named = {template.name: template for template in NAMED_TEMPLATES}
    if given not in named:
        raise unknown_name("chat template", given, list(named), "--chat-template")
    offered = offered_templates(tokenizer)
    if named[given] not in offered:
        raise InputError(
            f"the tokenizer lacks the tokens of the chat template {given!r}",
            where=str(tokenizer.name_or_path),
            why=f"it needs {' and '.join(named[given].needs)}",
            remedy=f"of the named ones {', '.join(each.name for each in offered)} fit" if offered else "add them to it",
        )
    return named[given].text


def has_generation_marks(template: str) -> bool:
    """Whether a template says which of its text the assistant generates, so that a trainer can take the loss on that."""
    return re.search(r"\{%-?\s*generation\s*-?%\}", template) is not None


def _read_file(path: Path) -> str:
    from jinja2 import TemplateError, TemplateSyntaxError
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(path), remedy="check the path given with --chat-template") from error
    except OSError as error:
        raise InputError("cannot be read", where=str(path), why=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise InputError("is no UTF-8 text", where=str(path), remedy="name a Jinja template") from error
    try:
        render_jinja_template(conversations=[], chat_template=text)  # compiles it
    except TemplateError as error:
        line = f":{error.lineno}" if isinstance(error, TemplateSyntaxError) else ""
        raise InputError(
            "is no valid Jinja", where=f"{path}{line}", why=str(error.message), remedy="mend the chat template"
        ) from error
    if not text.strip():
        raise InputError("the chat template is empty", where=str(path), remedy="name one that prints the turns")
    return text
