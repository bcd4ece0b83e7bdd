"""Prompts that no text model can answer from the row: ANS001 to ANS003."""

from __future__ import annotations

from random import Random

from tests.benchmarks.recall.injection import Injected, Injector, Row, single

__all__ = ["ATTACHMENT", "CURRENT", "WEB_ADDRESS"]

_TOPICS = ("river fishing", "the town archive", "solar roofs", "a choir festival", "bread prices", "night trains", "urban bees")
_TOWNS = ("Lisbon", "Osaka", "Winnipeg", "Nairobi", "Leipzig", "Lima", "Bergen", "Hobart")
_INVENTED = (
    "It shows a quiet harbour with three red boats and a man who mends a net.",
    "The main point is that small steps matter more than large plans.",
    "There are seven entries, and the highest of them is 482.",
    "The speaker thanks the volunteers and announces a second meeting in May.",
    "It covers the history of the place, its people and the plans for the next ten years.",
    "The author argues that the old building should be kept and opened to the public.",
    "Sales rose in March and fell slightly in April.",
)


def _asked(name: str, *forms: str) -> Injector:
    """A prompt of one of the forms, answered as if what it speaks of had been there."""

    def inject(rng: Random, row: Row) -> Injected:
        prompt = rng.choice(forms).format(topic=rng.choice(_TOPICS), town=rng.choice(_TOWNS), site=_site(rng))
        return single(prompt, rng.choice(_INVENTED))

    inject.__name__ = name
    return inject


def _site(rng: Random) -> str:
    host = rng.choice(["heronpost", "millgate-news", "dailyquay", "oakandtide", "brightfurrow", "lanternweekly"])
    path = rng.choice(["", "/about", "/2021/04/harbour-plans", "/articles/1837", "/stories/a-long-winter.html"])
    scheme = rng.choice(["https://www.", "https://", "http://", "www."])
    return f"{scheme}{host}.{rng.choice(['com', 'org', 'net', 'co.uk'])}{path}"


# ANS001: what was to be attached is not there.
ATTACHMENT: tuple[Injector, ...] = (
    _asked(
        "image",
        "Describe the image below.",
        "What is shown in this picture?",
        "Write a caption for the attached photo.",
        "Look at the image and tell me how many people are in it.",
        "Identify the bird in the photograph.",
        "Given the following image, describe the mood of the scene.",
    ),
    _asked(
        "document",
        "Summarize the attached document about {topic}.",
        "Read the PDF I uploaded and list its main points.",
        "Please proofread the attached essay on {topic}.",
        "Using the report in the attachment, explain what went wrong.",
        "I have attached my resume. Suggest three improvements.",
    ),
    _asked(
        "spreadsheet",
        "Using the attached spreadsheet, calculate the average monthly sales.",
        "Find the largest value in the Excel file I have uploaded.",
        "Based on the CSV file provided, which region sells most?",
        "Analyze the uploaded dataset on {topic} and report the trends.",
    ),
    _asked(
        "table",
        "Based on the table below, which year had the most visitors?",
        "According to the following table, who won the race?",
        "Use the data in the table above to compute the total.",
        "Refer to the table below and name the cheapest item.",
    ),
    _asked(
        "chart",
        "What trend does the graph below show?",
        "Interpret the following chart about {topic}.",
        "Look at the pie chart and say which slice is the largest.",
        "Explain the diagram above.",
    ),
    _asked(
        "recording",
        "Transcribe the attached audio recording.",
        "Listen to the following audio clip and identify the instrument.",
        "What does the speaker say in this recording about {topic}?",
        "Write down the words of the voice message I sent you.",
    ),
    _asked(
        "video",
        "Summarize what happens in the attached video.",
        "Watch the following video clip and describe the main character.",
        "How many goals are scored in this video?",
    ),
    _asked(
        "code_file",
        "Find the bug in the attached Python file.",
        "Review the code in the file I uploaded and explain what it does.",
        "Look at the screenshot and tell me why the program fails.",
    ),
)

# ANS002: what an address leads to is not there.
WEB_ADDRESS: tuple[Injector, ...] = (
    _asked(
        "summarize",
        "Summarize the article at {site}",
        "Summarise this article: {site}",
        "Read {site} and give me the key points.",
        "Give a short summary of the following web page: {site}",
    ),
    _asked(
        "question",
        "What is the main argument of the author? {site}",
        "According to {site}, when was the company founded?",
        "What does the website {site} sell?",
        "Who wrote the article {site} ?",
    ),
    _asked(
        "visit",
        "Go to {site} and list the three newest posts.",
        "Visit {site} and tell me what the opening hours are.",
        "Open the link {site} and describe the page.",
        "Check {site} for the ticket prices.",
    ),
    _asked(
        "extract",
        "Extract all email addresses from {site}",
        "Find the names of all people mentioned in this article.\n{site}",
        "List the headings of the page below.\n\n{site}",
    ),
    _asked(
        "rewrite",
        "Rewrite the article below in simple words.\n\n{site}",
        "Translate the text on this website into French: {site}",
        "Classify the article behind this link as news or opinion: {site}",
    ),
    _asked(
        "video",
        "Watch https://www.youtube.com/watch?v=Zk3qLm8Rt0a and describe what happens.",
        "Summarize this video: https://youtu.be/b7XwPq2NnEo",
        "What song is played in https://www.youtube.com/watch?v=4hTr9WcUeYs ?",
    ),
    _asked(
        "files_and_repositories",
        "Review the code at https://github.com/lanternworks/tide-clock and suggest improvements.",
        "Describe the picture: https://images.heronpost.com/uploads/2938/harbour.jpg",
        "Analyze the data in https://data.dailyquay.org/files/{town}.csv",
    ),
)

# ANS003: what is asked for changes from day to day.
CURRENT: tuple[Injector, ...] = (
    _asked(
        "weather",
        "What is the weather like in {town} today?",
        "What's the current temperature in {town}?",
        "Will it rain in {town} tomorrow?",
        "Give me the weather forecast for this weekend in {town}.",
    ),
    _asked(
        "time_and_date",
        "What time is it right now in {town}?",
        "What is today's date?",
        "What day of the week is it today?",
        "How many days are left until the end of this year?",
    ),
    _asked(
        "prices",
        "What is the current price of Bitcoin?",
        "How much does a barrel of oil cost today?",
        "What is the stock price of Apple right now?",
        "What's the price of gold per ounce today?",
        "What is the current exchange rate between the euro and the yen?",
    ),
    _asked(
        "news",
        "What are today's top headlines?",
        "Give me the latest news about {topic}.",
        "What happened in {town} yesterday?",
        "Summarize this week's news about {topic}.",
    ),
    _asked(
        "sport",
        "Who won the football match last night?",
        "What is the current score of the game?",
        "Which team is leading the Premier League right now?",
        "When is the next match of the national team?",
    ),
    _asked(
        "traffic_and_travel",
        "How bad is the traffic in {town} at the moment?",
        "Is my flight from {town} delayed today?",
        "When does the next train to {town} leave?",
        "Find the cheapest flight to {town} for tomorrow.",
    ),
    _asked(
        "popularity",
        "Which song is number one on the charts this week?",
        "What movies are playing in theaters right now in {town}?",
        "What is trending on Twitter today?",
        "How many subscribers does the most popular YouTube channel currently have?",
    ),
)
