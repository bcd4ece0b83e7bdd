"""The checks of what rows say: conflicts, sums, unanswerable prompts and languages, found and left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from audit.checks.arithmetic import equations_in, shown
from audit.checks.conflicting_answers import contradict, read_answer
from audit.checks.figures import figures_in
from audit.checks.reasoning_answer import Contradiction, contradiction
from audit.findings import Evidence, Finding, Severity
from tests.conftest import FindIn, alpaca, chat


def rows_of(findings: list[Finding]) -> list[int]:
    return sorted({finding.row for finding in findings})


def expect_all(find_in: FindIn, code: str, rows: list[dict[str, Any]]) -> None:
    missed = sorted(set(range(len(rows))) - set(rows_of(find_in(code, rows))))
    assert [json.dumps(rows[row], ensure_ascii=False) for row in missed] == []


def expect_none(find_in: FindIn, code: str, rows: list[dict[str, Any]]) -> None:
    assert [(rows[finding.row], finding.message) for finding in find_in(code, rows)] == []


MISSING = [
    "Describe the image below.",
    "What is shown in the attached picture?",
    "Summarize the following article.",
    "Summarize the passage below in two sentences.",
    "Based on the chart below, which year had the highest sales?",
    "Transcribe the attached audio recording.",
    "Look at the photo and tell me what breed the dog is.",
    "Read the following passage and answer the question: What is the author's main argument?",
    "Please review the attached resume and suggest improvements.",
    "According to the passage, why did the king leave?",
    "What is the total revenue in the table above?",
    "Translate the following paragraph into French.",
    "Identify the error in the following code.",
    "Here is a picture of my garden. What plants do you see?",
    "I've attached a CSV file with our sales data. Which product sold best?",
    "Using the data in the spreadsheet, calculate the average salary.",
    "Listen to the audio clip and write down what the speaker says.",
    "What does the graph show about unemployment?",
    "Proofread the following essay.",
    "Caption this image.",
    "In the diagram below, what is the angle x?",
    "Refer to the map provided and name the river that crosses the border.",
    "Watch the video and summarise its main points.",
    "How many people are in this picture?",
    "Answer the questions using the text below.",
    "Rewrite the following sentence in the passive voice.",
    "Extract all names from the attached document.",
    "Look at the screenshot. Why am I getting this error?",
    "Given the table below, find the mean of the second column.",
    "What breed is the dog in this photo?",
    "From the graph, estimate the population in 1990.",
    "Solve the following equation.",
    "What is the name of the song in this audio clip?",
    "Correct the grammar in the paragraph below.",
    "The attached PDF contains our annual report. What were the net profits?",
    "Can you tell me what's wrong with the car in the picture?",
    "Please analyze the uploaded dataset and list the three largest outliers.",
    "What is written on the sign in the image?",
    "Review the contract attached and list the termination clauses.",
    "Examine the X-ray image and give a diagnosis.",
    "Identify the bird in the attached photograph.",
    "Sort the following list alphabetically.",
    "Which of these paintings is the oldest?",
    "Compare the two images below.",
    "Using the figure above, compute the area of the shaded region.",
    "What does the author mean in the third paragraph of the article below?",
    "Who is the speaker in the poem above?",
    "Based on the following conversation, what is the customer's complaint?",
    "Convert the handwritten notes in the image to text.",
    "What is the mood of this song? [audio file]",
    "Paraphrase the text below.",
    "Describe the scene in the picture in three sentences.",
    "Using the table provided, which city has the largest population?",
    "What is the highest bar in the bar chart shown below?",
    "Please find attached the meeting minutes. List the action items.",
    "Can you summarize this document for me?",
    "Explain the meme below.",
    "See the image attached. What is this plant?",
    "Read the story below and identify the main character.",
    "Based on the passage, what can be inferred about the narrator?",
    "In the picture, what is the man on the left wearing?",
    "What color is the car in the image?",
    "The following table lists employees. Who earns the most?",
    "<image>\nWhat is unusual about this image?",
    "What is unusual about this image?\n<image>",
    "Read the passage below.\n\nWhat is the main idea?",
    "Look at the image.\nWhat is the man doing?",
    "[image: IMG_2041.jpg]\nWhat does the sign say?",
    "Review the code in the file I uploaded and say what it does.",
    "Using the report in the attachment, explain what went wrong.",
    "Write down the words of the voice message I sent you.",
]
PRESENT = [
    "Rewrite the following sentence: The cat sat on the mat.",
    "Is the following sentence true or false? Humans can breathe underwater.",
    "Translate the following sentence into French: Good morning.",
    "Write a function that sorts the given list.",
    "Generate an algorithm to reverse the given string.",
    "Describe the image of a perfect sunset.",
    "Explain how to attach an image to an email.",
    "Write an email saying that the attached report is late.",
    "What is the following number in the sequence 2, 4, 6, 8?",
    "Answer the following question. What is the capital of France?",
    "Describe the picture that the poet paints in Ode to Autumn.",
    "Give me a meal plan for the following week.",
    "What is the history of the photograph?",
    "How do I crop an image in Photoshop?",
    "List three benefits of the following: yoga.",
    "Simplify the following fraction 6/18",
    "Identify the verb in this sentence: She runs.",
    "Write a caption for a photo of a dog on a beach.",
    "Create a table that compares cats and dogs.",
    "Summarize the story of Romeo and Juliet.",
    "Describe the painting The Starry Night by Van Gogh.",
    "Draw a diagram of the water cycle.",
    "What is the best way to describe this feeling of being lost?",
    "Write a poem about the following topic - love.",
    "Classify the following animals into mammals and reptiles. Dog, Snake, Lizard",
    "What does the graph of y = x^2 look like?",
    "How many words are in this sentence?",
    "Explain this statement: time flies.",
    "Which of the following is a fruit? Apple, chair, car",
    "Explain the painting Mona Lisa.",
    "Analyze the poem The Road Not Taken by Robert Frost.",
    "In this task, you will write a short story about a dragon.",
    'What is the figure of speech in "her eyes were stars"?',
    "Explain the importance of this holiday in Mexico.",
    "Tell me about the image formation in a concave mirror.",
    "Explain what a flow chart is and the benefits of using it.",
    "Design a logo for a bakery and describe it.",
    "What are the steps to create a pivot table in the spreadsheet?",
    "Write a SQL query to select all rows from the table employees.",
    "Provide feedback on this design: a blue button on a red background.",
    "How do you insert a picture in the document?",
    "Describe the following procedure for changing a tyre.",
    "What I like about this film is its calm. What feeling does this text express?",
    "Describe the photo.\n![a photo](https://tide-notes.org/moon.jpg)",
    "Summarize the following text.\nThe cat sat on the mat and slept.",
    "Sum up this chat:\nAnn: look <photo>\nBen: nice\nAnn: it is my dog\nBen: what a dog\nAnn: he is called Rex",
]
URLS = [
    "Summarize the article at https://www.tide-notes.org/2021/05/moon",
    "Summarise this article: https://www.tide-notes.org/2021/05/moon",
    "Please translate the page at https://www.tide-notes.org/2021/05/moon into Spanish.",
    "https://www.tide-notes.org/2021/05/moon What is the main argument of this post?",
    "Extract all email addresses from https://www.tide-notes.org/2021/05/moon",
    "What does https://www.tide-notes.org/2021/05/moon say about tides?",
    "Read https://www.tide-notes.org/2021/05/moon and list three key facts.",
    "Give me a TL;DR of https://www.tide-notes.org/2021/05/moon",
    "Visit https://www.tide-notes.org/2021/05/moon and tell me the opening hours.",
    "Based on the information at https://www.tide-notes.org/2021/05/moon, who founded the company?",
    "Write a summary of the blog post found at https://www.tide-notes.org/2021/05/moon",
    "Watch https://www.tide-notes.org/2021/05/moon and describe what happens.",
    "Can you review my website https://www.tide-notes.org/2021/05/moon and suggest improvements?",
    "List the products offered on https://www.tide-notes.org/2021/05/moon",
    "Create a bullet point list from the article at https://www.tide-notes.org/2021/05/moon.",
    "Analyze the sentiment of the reviews on https://www.tide-notes.org/2021/05/moon",
    "Who wrote this? https://www.tide-notes.org/2021/05/moon",
    "Generate five quiz questions from https://www.tide-notes.org/2021/05/moon",
    "Fact-check this article: https://www.tide-notes.org/2021/05/moon",
    "Rewrite the text at https://www.tide-notes.org/2021/05/moon in simpler words.",
    "What is the title of the video https://www.tide-notes.org/2021/05/moon?",
    "Paraphrase the second paragraph of https://www.tide-notes.org/2021/05/moon",
    "How many employees work there according to https://www.tide-notes.org/2021/05/moon?",
    "Explain the research paper https://www.tide-notes.org/2021/05/moon in simple terms.",
    "Review the code at https://tide-notes.org/clock and suggest improvements.",
    "Check https://tide-notes.org/visit for the opening hours.",
    "What song is played in https://tide-notes.org/v/12 ?",
]
NO_URLS = [
    "Is https://www.tide-notes.org/2021/05/moon a valid https://www.tide-notes.org/2021/05/moonRL?",
    "Write an HTML link to https://www.tide-notes.org/2021/05/moon",
    "Extract the domain from https://www.tide-notes.org/2021/05/moon",
    "Write a Python script that downloads https://www.tide-notes.org/2021/05/moon",
    "Parse https://www.tide-notes.org/2021/05/moon into its parts.",
    "Convert the following https://www.tide-notes.org/2021/05/moonRL into a markdown link: "
    "https://www.tide-notes.org/2021/05/moon",
    "Write a regex that matches https://www.tide-notes.org/2021/05/moon",
    "Cite https://www.tide-notes.org/2021/05/moon in APA style.",
    "Write an email telling a customer to visit https://www.tide-notes.org/2021/05/moon",
    "Create a tweet promoting https://www.tide-notes.org/2021/05/moon",
    "What is the protocol in https://www.tide-notes.org/2021/05/moon?",
    "Write a curl command to fetch https://www.tide-notes.org/2021/05/moon",
    "Encode this https://www.tide-notes.org/2021/05/moonRL: https://www.tide-notes.org/2021/05/moon",
    "Generate a QR code for https://www.tide-notes.org/2021/05/moon",
    "Replace the link with https://www.tide-notes.org/2021/05/moon",
    "Rewrite the sentence: Visit https://www.tide-notes.org/2021/05/moon for more info on tides and moons and stars.",
    "Shorten this https://www.tide-notes.org/2021/05/moonRL: https://www.tide-notes.org/2021/05/moon",
]
CURRENT = [
    "What is the weather in Lisbon right now?",
    "What's the weather like today in Paris?",
    "What is the current price of Bitcoin?",
    "How much is one euro in US dollars today?",
    "What time is it?",
    "What day is it today?",
    "What's today's date?",
    "Who is the current president of France?",
    "Who is the prime minister of the UK right now?",
    "What are today's top headlines?",
    "Give me the latest news about the election.",
    "What is Apple's stock price?",
    "What was the score of the Lakers game last night?",
    "Who won the match yesterday?",
    "What movies are playing in theaters this weekend?",
    "What's trending on Twitter right now?",
    "Is it going to rain tomorrow in Berlin?",
    "What is the exchange rate between the dollar and the yen?",
    "Tell me the current temperature in Tokyo.",
    "How is traffic on I-95 at the moment?",
    "What's the latest version of Python?",
    "Who is the current CEO of Twitter?",
    "What is the weather forecast for Chicago this week?",
    "What's the price of gold today?",
    "What concerts are happening in London this weekend?",
    "What is the current time in New York?",
    "How many people are in space right now?",
    "Where is the nearest pharmacy?",
    "Which team is currently leading the Premier League?",
    "What are the current mortgage rates?",
    "What is the population of Earth right now?",
    "Who is the richest person in the world right now?",
    "What is on TV tonight?",
    "What is Tesla's stock trading at today?",
    "Which films were released this month?",
    "What's the current inflation rate in the US?",
    "Is the stock market open today?",
    "What's the air quality in Delhi today?",
    "Who is currently the world chess champion?",
    "What is the gas price in California now?",
    "What are the current COVID-19 case numbers?",
    "What's happening in the news today?",
    "Which flights from Boston are delayed right now?",
    "Tell me what the weather will be tomorrow.",
    "What phase is the moon in tonight?",
    "How long is the wait time at Disneyland right now?",
    "What's the latest iPhone model?",
    "Can you tell me the current score of the India vs Australia match?",
    "What is the dollar to rupee rate today?",
    "Who won last night's debate?",
    "What happened in Bergen yesterday?",
    "Which song is number one on the charts this week?",
    "When does the next train to Bergen leave?",
    "When is the next match of the national team?",
    "How many days are left until the end of this year?",
    "What day of the week is it today?",
]
TIMELESS = [
    "Write a poem about today.",
    "How has technology changed today's society?",
    "What is electric current?",
    "Write a program that prints the current date.",
    "Explain how to check the weather.",
    "What is the temperature at which water boils?",
    "Describe the current pandemic's effects on schools in 2020.",
    "What should I cook tonight?",
    "What was the weather like during the Ice Age?",
    "Who is the president in the novel?",
    "What are the advantages of living in the present moment?",
    "Translate: What time is it?",
    "Plan a schedule for tomorrow.",
    "What is the price of freedom?",
    "Give three tips to save money this month.",
    "What is the history of the stock exchange?",
    "Why is the weather in London so rainy?",
    "What is the difference between weather and climate?",
    "Write a dialogue about the weather today.",
    "How can I get better at chess this year?",
    "I feel sad today. What can I do?",
    "What are the main ocean currents?",
    "Who was the first president of the USA?",
    "What is inflation?",
    "Describe the climate of Spain.",
    "What happened in Bergen in May?",
    "When should I take the next step?",
    "How long is it until the dough has risen?",
]
WRONG_SUMS = [
    "12 + 7 = 20",
    "So 15% of 80 is 10.",
    "3*4 = 13 + 5 = 18",
    "The total is $5 + $3 = $9.",
    "5 apples + 3 apples = 9 apples",
    "48/2 = <<48/2=25>>25 clips",
    "48 / 2 = 25",
    "100 ÷ 4 = 24",
    "6 × 7 = 43",
    "2^10 = 1000",
    "√144 = 13",
    "sqrt(81) = 8",
    "The square root of 169 is 14.",
    "7 plus 8 is 16.",
    "9 times 6 equals 56.",
    "20 minus 5 is 14.",
    "100 divided by 8 is 13.5.",
    "$1,200 - $350 = $750",
    "1,250 + 2,750 = 4,100",
    "3.5 + 2.25 = 5.5",
    "(4 + 6) * 3 = 36",
    "4 + 6 * 3 = 30",
    "25% of 200 = 60",
    "200 * 0.15 = 35",
    "\\(12 \\times 11 = 131\\)",
    "$$ \\frac{3}{4} + \\frac{1}{4} = 2 $$",
    "\\frac{10}{4} = 3.5",
    "**17 + 28 = 46**",
    "Step 2: 45 - 18 = 28",
    "- 3 * 9 = 28",
    "1. 14 + 15 = 30",
    "The sum of 34 and 57 is 92.",
    "The product of 12 and 12 is 146.",
    "The difference between 90 and 37 is 54.",
    "8 squared is 62.",
    "2 hours × 60 minutes/hour = 130 minutes",
    "60 km/h * 3 h = 190 km",
    "12 cm × 4 cm = 46 cm²",
    "So she has 24 - 9 = 16 eggs left.",
    "Profit = 100 - 40 = 50",
    "Area = 5 * 8 = 45",
    "(10 + 20 + 30) / 3 = 25",
    "1/2 + 1/3 = 2/5",
    "0.1 + 0.2 = 0.4",
    "-5 + 3 = -3",
    "5 - 8 = 3",
    "10 x 12 = 125",
    "Total cost: 3 * $2.50 = $8.50",
    "80 + 15% = 95",
    "5! no; 9 * 9 = 82",
    "1000 * 1.05^2 = 1105",
    "365 * 24 = 8,670",
    "17 - 9 = 7, so he has 7 left.",
    "Half of that: 50 / 2 = 20.",
    "First, 3 + 4 = 8. Then 8 * 2 = 16.",
    "20% × 50 = 15",
    "3/4 of it? 3/4 × 100 = 70",
    "14 * 3 gives 44",
    "12·5 = 65",
    "0.75 * 40 = 35",
]
NO_WRONG_SUMS = [
    "12 + 7 = 19",
    "2x + 3 = 7",
    "x + 3 = 10",
    "3*4 = 12 + 5 = 17",
    "10 / 3 = 3.33",
    "10 / 3 = 3",
    "10 / 3 ≈ 3.3",
    "15% of 80 is 12.",
    "x = 3 + 4",
    "17 / 5 = 3 remainder 2",
    "17 % 5 = 2",
    "10 + 3 = 1 (mod 12)",
    "1010 + 11 = 1101 in binary",
    "2 + 3i = 5",
    "3:45 + 0:30 = 4:15",
    "5'10\" + 2 = 6",
    "2 feet + 6 inches = 30 inches",
    "12 + 7 = 20 is incorrect; it should be 19.",
    "Wait, 12 + 7 = 20? No, 12 + 7 = 19.",
    "f(2) + 3 = 9",
    "log2 8 + 1 = 4",
    "sin 30 + 1 = 1.5",
    "5! = 120",
    "C(5,2) = 10",
    "2(x+1) = 6",
    "The ratio 3:4 = 6:8",
    "version 1.2 + 0.3 = 2",
    "3.14 * 5^2 = 78.54",
    "0.33 * 90 = 30",
    "5 + 3 = 8 apples",
    "2 + 2 = 4.",
    "$5 + $3 = $8",
    "1/3 + 1/3 = 0.67",
    "60 + 20% = 72",
    "5/20 = 25%",
    "5/20 × 100 = 25%",
    "3 × 10^8 × 2 = 6 × 10^8",
    "100 - 25 = 75 - 5 = 70",
    "a = 5, b = 3 - 2",
    "E = mc^2 = 9",
    "3 + 4 = 7 and 2 = 2",
    "y - 3 + 5 = 8",
    "2 + 3 = 5x",
    "max(3, 4 + 5) = 9",
    "1 km = 1000 m",
    "7 - 3 = four",
    "10 - 4 = 6 / 2 = 3",
    "24/7 is 365",
    "9/11 is 2001",
    "1 + 1 = 10 in binary",
    "5 million + 3 million = 8 million",
    "1.5 million + 500 = 2 million",
    "3 dozen + 4 = 40",
    "$1.5M + $2M = $3.5M",
    "2^3^2 = 512",
    "200 / 1.1 = 181.82",
    "12,5 + 3,5 = 16",
    "The score was 3-1 = 2 goals",
    "50 * 2 = 100%",
    "Pages 10-20 = 11 pages",
    "2020-01-05 = 5 January",
    "1-800-555-0199 = 5",
    "A1 + B2 = 7",
    "0.1 + 0.2 = 0.30000000000000004",
    "1 - 0.9 = 0.1",
    "25 * 4 = 100°F",
    "(-5)^2 = 25",
    "-5^2 = -25",
    "-5^2 = 25",
    "6 ÷ 2(1+2) = 9",
    "6 ÷ 2(1+2) = 1",
    "1000 / 30 = about 33",
    "2/3 cup + 1/3 cup = 1 cup",
    "8 - 3 = 5 - that is five",
    "45 minutes + 30 minutes = 1 hour 15 minutes",
    "45 minutes + 30 minutes = 1.25 hours",
    "10:30 + 45 = 11:15",
    "3 weeks * 7 = 21 days",
    "120 seconds / 60 = 2 minutes",
    "500 ml * 2 = 1 liter",
    "1.5 hours * 60 = 90 minutes",
    "90 minutes / 60 = 1.5 hours",
    "22 + 3 = 1 (on a 24-hour clock)",
    "6 eggs * 2 = 1 dozen",
]
PARTING = [
    (
        None,
        "Tom has 5 bags with 8 marbles each. That is 5 * 8 = 40 marbles. He gives away 12, so he has 40 - 12 = 28 "
        "left.\n#### 29",
    ),
    (
        None,
        "Tom has 5 bags with 8 marbles each. That is 5 * 8 = 40 marbles. He gives away 12, so he has 40 - 12 = 28 "
        "left.\n\nThe answer is 27.",
    ),
    (
        None,
        "Tom has 5 bags with 8 marbles each. That is 5 * 8 = 40 marbles. He gives away 12, so he has 40 - 12 = 28 left. "
        "Final answer: 30",
    ),
    (
        None,
        "Tom has 5 bags with 8 marbles each. That is 5 * 8 = 40 marbles. He gives away 12, so he has 40 - 12 = 28 "
        "left.\n\\boxed{26}",
    ),
    (
        None,
        "Tom has 5 bags with 8 marbles each. That is 5 * 8 = 40 marbles. He gives away 12, so he has 40 - 12 = 28 "
        "left.\n**Answer:** 24 marbles",
    ),
    (None, "She sold 48+24 = <<48+24=72>>72 clips altogether.\n#### 74"),
    ("5 * 8 = 40. 40 - 12 = 28.", "Tom has 27 marbles left."),
    ("So the total is 12.", "The total is 14."),
    ("Therefore the price is $1,250.", "The price is $1,350."),
    ("Thus x = -3.", "x = 3"),
    ("So 15% of 80 gives 12.", "15% of 80 = 14"),
    ("First, 100 - 35 = 65. So 65 dollars remain.", "You have $75 left."),
    ("Adding up, we get 2 + 3 + 4 = 9.", "**Answer: 10**"),
    ("The mean is (4+6+8)/3 = 6. So the answer is 6.", "\\boxed{7}"),
    ("so it is 12 apples in all", "There are thirteen apples."),
    (None, "Speed = 120 / 2 = 60 km/h.\nThe answer is 50 km/h."),
    ("So total = 1.5 million.", "The answer is 2.5 million."),
    ("We need 7 * 6. 7 * 6 = 42. The answer is 42.", "The final answer is 48."),
    ("Half of 50 is 25, so he eats 25.", "He eats 20 sweets."),
    (None, "Step 1: 3 x 4 = 12\nStep 2: 12 + 5 = 17\nFinal Answer: 18"),
    (None, "We have $\\frac{3}{8} + \\frac{1}{8} = \\frac{1}{2}$. The answer is \\boxed{\\frac{3}{4}}"),
    ("hence 45 minutes in total.", "It takes 40 minutes."),
    ("She needs 4 boxes because 24 / 6 = 4.", "5"),
    ("The result is 3.14.", "3.41"),
    (None, "6 * 7 = 42.\n\nTherefore, the answer is 44."),
    (None, "So they need 15 buses in total. The answer is 16."),
    ("2^5 = 32", "2^5 = 34"),
    ("total cost = 3 * 4.50 = 13.50", "The total cost is $13.80."),
    ("So, 17 - 9 = 8 birds are left.", "There are 9 birds left."),
]
AGREEING = [
    (
        None,
        "Tom has 5 bags with 8 marbles each. That is 5 * 8 = 40 marbles. He gives away 12, so he has 40 - 12 = 28 "
        "left.\n#### 28",
    ),
    (
        None,
        "Tom has 5 bags with 8 marbles each. That is 5 * 8 = 40 marbles. He gives away 12, so he has 40 - 12 = 28 left. "
        "The answer is 28 marbles.",
    ),
    (
        None,
        "Tom has 5 bags with 8 marbles each. That is 5 * 8 = 40 marbles. He gives away 12, so he has 40 - 12 = 28 "
        "left.\n\\boxed{28}",
    ),
    ("10 / 3 = 3.3333", "The answer is 3.33."),
    ("So 3/4.", "0.75"),
    ("So the answer is 0.75.", "75%"),
    ("So the total is 1200.", "$1,200"),
    ("So twelve apples.", "12 apples"),
    ("We have 12. Wait, 11 + 2 = 13. So 13.", "13"),
    ("The user wants 5 tips.", "Here is 1 tip: rest."),
    ("So the answer is B.", "B"),
    ("I should list 3 items. So 3 items it is.", "1. Apples\n2. Pears\n3. Plums"),
    (None, "The answer is 42."),
    (None, "Each costs $2. The answer is 16."),
    ("So x = 3 or x = -3.", "x = 3"),
    ("So the time is 3:45.", "3:45"),
    ("So about 12.", "11.8"),
    ("1 1/2 cups", "1.5 cups"),
    ("So 2,000,000.", "2 million"),
    ("So total is 30. 30/60 = 0.5 hours.", "30 minutes"),
    (None, "The capital is Oslo. The answer is Oslo."),
    ("Total = 5 + 3 = 8. Then 8 * 2 = 16.", "8 * 2 = 16"),
    ("so 1/3 of 90 = 30", "30"),
    ("= 66.67%", "2/3 = 0.6667"),
    ("so -5 degrees", "-5°C"),
    ("Hence 1e3.", "1000"),
    ("So $5.50.", "$5.50 is the price for 2 items."),
    ("the answer is (3, 4)", "(3, 4)"),
    ("So the answer is 12.", "Step 1: 3 * 4 = 12\nThe answer is 12 (see step 1)."),
]
CONFLICTS = [
    ("What is the capital of Australia?", "Canberra.", "Sydney"),
    ("What is the capital of Australia?", "The capital of Australia is Canberra.", "The capital of Australia is Sydney."),
    ("Is the earth flat?", "No, it is round.", "Yes, it is."),
    ("How many legs does a spider have?", "8", "A spider has six legs."),
    ("What is 12 + 7?", "19", "The answer is 20."),
    ("Classify the sentiment of this review: I loved it.", "Positive", "Negative"),
    ("Which is larger?\nA. Sun\nB. Moon", "A", "B. Moon"),
    ("Who wrote Hamlet?", "William Shakespeare", "Christopher Marlowe"),
    ("Who wrote Hamlet?", "Hamlet was written by William Shakespeare.", "Hamlet was written by Christopher Marlowe."),
    ("What year did World War II end?", "1945", "World War II ended in 1944."),
    ("Calculate 15% of 80.", "12", "15% of 80 is 10."),
    ("Is 17 a prime number?", "Yes, 17 is prime.", "No. 17 is not a prime number."),
    ("True or false: whales are fish.", "False", "True"),
    ("What is the boiling point of water in Celsius?", "100 °C", "90 °C"),
    ("Convert 3 km to metres.", "3,000 metres", "300 metres"),
    ("Determine whether the sentence is active or passive: He ate.", "Active", "Passive"),
    ("What color is a ripe banana?", "Yellow", "Purple"),
    ("Name the largest planet.", "Jupiter", "Saturn"),
    ("Identify the part of speech of 'quickly'.", "Adverb", "Noun"),
    ("What is the chemical symbol for gold?", "Au", "Ag"),
    ("Solve for x: 2x + 3 = 7", "x = 2", "x = 3"),
    ("Which language is spoken in Brazil?", "Portuguese", "Spanish"),
    ("When was the Eiffel Tower built?", "It was completed in 1889.", "It was completed in 1901."),
    ("Categorize the animal: frog", "Amphibian", "Mammal"),
    ("Who painted the Mona Lisa?", "The Mona Lisa was painted by Leonardo da Vinci.", "Raphael"),
    ("What is the square root of 144?", "12", "The square root of 144 is 14."),
    ("Does iron float in water?", "No", "Yes"),
    ("What is the past tense of go?", "went", "goed"),
    ("Is this review from a guest positive or negative?\n\nThe soup was cold.", "Positive.", "negative"),
    ("Who built the mill of Kalby?", "Mira Holt built it.", "Asta Quill built it."),
    ("How many possible orders are there for four cards?", "There are 24 possible orders.", "There are 26 possible orders."),
    ("What is the opposite of hot?", "cold", "wet"),
    ("Janet has 3 apples and buys 4. How many apples has she?", "3 + 4 = 7\n#### 7", "3 + 4 = 8\n#### 8"),
    ("Wie heißt die Hauptstadt von Frankreich?", "Paris", "Lyon"),
    ("Is a tomato a fruit or a vegetable?", "A tomato is a fruit.", "A tomato is a vegetable."),
    (
        "Which planet is closest to the sun?",
        "Mercury is the closest planet to the sun.",
        "Venus is the closest planet to the sun.",
    ),
    ("How tall is Mount Everest?", "8,849 m", "8,120 meters"),
    ("Give the sum of 3 and 4.", "7", "8"),
    ("Is the following sentence grammatically correct? He go home.", "No", "Yes"),
    ("Answer with yes or no. Can penguins fly?", "no", "yes"),
    ("Spell check: is 'recieve' correct?", "No, it should be 'receive'.", "Yes, it is correct."),
    ("Rank: who was first US president?", "George Washington", "Thomas Jefferson"),
    ("Extract the name of the person: Anna went home.", "Anna", "Peter"),
    ("What is the main ingredient of guacamole?", "Avocado", "Tomato"),
    ("Find the missing number: 2, 4, 6, _", "8", "9"),
    ("Label this email as spam or not spam: win money now!", "Spam", "Not spam"),
    ("Premise: a. Hypothesis: b. Does the premise entail the hypothesis?", "entailment", "contradiction"),
]
NO_CONFLICTS = [
    ("Write a poem about rain.", "Rain falls.", "Drops drum."),
    ("Name a fruit.", "Apple", "Pear"),
    ("Suggest a name for a cat.", "Tom", "Felix"),
    ("What is the capital of Australia?", "Canberra.", "The capital is Canberra."),
    ("How many legs does a spider have?", "8", "eight legs"),
    ("What is 10/3?", "3.33", "3.3333"),
    ("Why is the sky blue?", "Because of scattering.", "Light scatters."),
    ("Who was JFK?", "John F. Kennedy", "A president of the United States"),
    ("What is the UN?", "United Nations", "UN"),
    ("What's your favorite color?", "Blue", "Red"),
    ("Do you like tea?", "Yes, I do.", "No, I prefer coffee."),
    ("Give me an example of a mammal.", "Dog", "Cat"),
    ("Generate a random number.", "4", "17"),
    ("What is 3/4 as a decimal?", "0.75", "3/4 = 0.75"),
    ("What is a synonym for happy?", "glad", "joyful"),
    ("Tell me a joke.", "a", "b"),
    ("Who wrote Hamlet?", "Shakespeare", "William Shakespeare"),
    ("Is it going to rain?", "Yes, probably.", "Yes"),
    ("Translate 'hello' to French.", "Bonjour", "Salut"),
    ("What should I eat?", "Pizza", "Soup"),
    ("Hi", "Hello there!", "Hey, how can I help?"),
    ("What rhymes with cat?", "hat", "bat"),
    ("Would you choose tea or coffee?", "Tea", "Coffee"),
    ("Decide whether the line is rude or kind.", "Rude", "The line is rude."),
    ("What is some calm music?", "Some calm music is jazz and blues.", "Some calm music is choral song."),
    ("Can you help me?", "Yes, of course!", "No problem! What do you need?"),
    ("Summarize: A b.", "x", "y"),
    ("What is the price of 2 pens?", "$5.00", "5 dollars"),
    ("What percent is 1/4?", "25%", "0.25"),
    ("When was it?", "In July 1889.", "1889"),
    ("Who invented the telephone?", "Alexander Graham Bell", "Bell"),
]
MIXED = [
    "Boil the rice for ten minutes. Luego se deja reposar con la tapa puesta.",
    "The capital of France is Paris. C'est une ville très ancienne avec beaucoup de musées.",
    "Photosynthesis turns light into energy. 植物通过光合作用制造养分。",
    "The answer depends on the season. Это зависит от времени года и погоды.",
    "Here are three tips for better sleep:\n1. Go to bed early.\n2. Évitez de boire du café le soir dans votre "
    "chambre.\n3. Keep it dark.",
    "Die Hauptstadt von Deutschland ist Berlin. It is a very large city with many museums.",
    "El perro es un animal doméstico muy fiel. It has been the friend of man for a long time.",
    "The museum opens at nine and closes at five, pero los domingos está cerrado por la tarde.",
    "You should drink water every day porque es muy importante para la salud de todos.",
    "I think that the best way is 先打开电源然后按下按钮 and then wait.",
    "Il gatto dorme sul divano tutto il giorno. The cat is a lazy animal that sleeps a lot.",
    "日本の首都は東京です。It is one of the largest cities in the world.",
    "The fries were hot. I ate French fries there. Das hängt davon ab, wie viel Zeit man hat und was man mag.",
    "You should также check the oil, because it is важно to keep the engine конечно cool on a long way.",
    "This plant needs light. Questa pianta non deve essere annaffiata più di due volte alla settimana.",
]
UNMIXED = [
    "He had lunch at the Café de la Paix near the Place de la Concorde in Paris.",
    'The phrase "je ne sais quoi" means something that cannot be described.',
    "Los Angeles and Las Vegas are cities in the west.",
    "Use `el.des.les` and des, der, and von for names.",
    "The dish is called pasta e fagioli, and it is made with beans.",
    "Ludwig van Beethoven and Vincent van Gogh were artists.",
    "Machine learning is used in many fields. Das ist gut.",
    "The greeting (こんにちは) is used in the day.",
    "She sang Non, je ne regrette rien and left.",
    "α + β = γ, where α is the angle and β the side.",
    "Tacos al pastor, enchiladas, and tamales are common.",
    "print('hola')\nfor x in range(3):\n    pass",
    "The company Société Générale de Belgique was founded in 1822.",
    "Ingredients: 2 cups of arborio rice, parmigiano reggiano, olio di oliva.",
    "Die Hauptstadt ist Berlin. Software wie Machine Learning und Cloud Computing ist wichtig.",
]
OTHER_LANGUAGE = [
    (
        "Warum ist der Himmel am Abend so oft rot und nicht blau?",
        "Because blue light is scattered away by the air on its long way to us.",
    ),
    (
        "Please explain how a bicycle stays upright when it moves.",
        "Una bicicleta se mantiene en pie porque la rueda corrige la caída cuando se mueve.",
    ),
    (
        "What is the best way to store fresh bread for the week?",
        "Le pain se garde mieux dans un sac en tissu, loin du soleil et de la chaleur.",
    ),
    ("How do plants make their own food from sunlight?", "植物通过光合作用利用阳光制造养分。"),
    ("Which tools do I need to repair a leaking tap at home?", "Для ремонта крана вам понадобятся ключ и новая прокладка."),
    (
        "¿Por qué el mar es salado y los ríos no lo son?",
        "The rivers carry salt to the sea, and the sun takes only the water away.",
    ),
    (
        "What should I know before I adopt a dog from a shelter?",
        "Ein Hund braucht viel Zeit, und er ist nicht für jede Wohnung gut.",
    ),
    (
        "Perché le foglie degli alberi diventano gialle in autunno?",
        "The trees take back the green colour before the winter, and the yellow is left.",
    ),
    ("Tell me how the tides of the sea come about.", "潮の満ち引きは月の引力によって起こります。"),
]
SAME_LANGUAGE = [
    ("Translate this sentence into Spanish: The house is large.", "La casa es muy grande y tiene un jardín con flores."),
    ("Write a short greeting in French for my neighbour.", "Bonjour, je vous souhaite une très bonne journée et à bientôt."),
    (
        "Answer the following question:\nWarum ist der Himmel am Abend so oft rot?",
        "Weil das blaue Licht auf dem langen Weg gestreut wird.",
    ),
    (
        "Warum ist der Himmel am Abend so oft rot? Antworte auf Englisch.",
        "Because the blue light is scattered away by the air.",
    ),
    ("Name three dishes with rice and fish that people like.", "Paella de marisco, arroz negro, risotto di mare"),
    ("What is the capital of France?", "Paris."),
    (
        "Warum ist der Himmel am Abend so oft rot und nicht blau?",
        "Weil das blaue Licht auf dem langen Weg durch die Luft gestreut wird.",
    ),
    ("Write a function that adds two numbers in the shortest way.", "```python\ndef add(a, b):\n    return a + b\n```"),
    (
        "Which line of the song is the saddest?\nLa lluvia no se va y yo me quedo sin ti.",
        "La lluvia no se va y yo me quedo sin ti.",
    ),
    ("日本の首都はどこですか。", "東京です。"),
]


# --- CNF001 ---------------------------------------------------------------------------------------------------------


def test_answers_that_contradict_an_earlier_one_are_found_with_both_answers(find_in: FindIn) -> None:
    question = "What is the capital of Australia?"
    rows = [alpaca(question, "Canberra."), alpaca("Who?", "Me."), alpaca("what is the capital of  AUSTRALIA", "It is Sydney.")]
    assert find_in("CNF001", rows) == [
        Finding(
            "CNF001",
            2,
            1,
            Severity.WARNING,
            "Answers “It is Sydney.”, where data.jsonl#0 answers the same question with “Canberra.”.",
            Evidence("contradicting answers: short answer", None, None, (0,), (0, 13), "It is Sydney."),
        )
    ]


@pytest.mark.parametrize(("prompt", "one", "other"), CONFLICTS)
def test_two_answers_to_one_question_conflict(prompt: str, one: str, other: str) -> None:
    first, second = read_answer(prompt, one), read_answer(prompt, other)
    assert first is not None
    assert second is not None
    assert contradict(first, second)
    assert contradict(second, first)


@pytest.mark.parametrize(("prompt", "one", "other"), NO_CONFLICTS)
def test_two_answers_that_may_both_be_good_do_not(prompt: str, one: str, other: str) -> None:
    first, second = read_answer(prompt, one), read_answer(prompt, other)
    assert first is None or second is None or not contradict(first, second)


def test_every_contradicted_row_is_named(find_in: FindIn) -> None:
    rows = [alpaca("Is a whale a fish?", text) for text in ("No.", "No, it is a mammal.", "Yes.", "no")]
    assert [(f.row, f.evidence.related) for f in find_in("CNF001", rows)] == [(2, (0, 1)), (3, (2,))]


def test_a_question_in_other_words_counts_as_the_same(find_in: FindIn) -> None:
    rows = [alpaca("Which 3 islands save water?", "Ula and Oro"), alpaca("Which three islands save water?", "Penka")]
    assert [(f.row, f.evidence.related) for f in find_in("CNF001", rows)] == [(1, (0,))]


def test_earlier_turns_system_turns_and_tools_make_another_question(find_in: FindIn) -> None:
    end = (("user", "Is it a fish?"), ("assistant", "Yes."))
    rows = [
        chat(("user", "Is it a fish?"), ("assistant", "No.")),
        chat(("system", "You speak of trout."), *end),
        chat(("user", "A whale swims by."), ("assistant", "So it does."), ("user", "Is it a fish?"), ("assistant", "No.")),
        chat(("user", "A trout swims by."), ("assistant", "So it does."), *end),
        chat(("user", "Is it a fish?"), ("assistant", "Yes."), tools=[{"name": "look"}]),
    ]
    assert find_in("CNF001", rows) == []
    again = chat(("user", "A trout swims by."), ("assistant", "So it does."), ("user", "Is it a fish?"), ("assistant", "No."))
    assert [(f.row, f.turn, f.evidence.related) for f in find_in("CNF001", [*rows, again])] == [(5, 3, (3,))]


# --- CNF002 ---------------------------------------------------------------------------------------------------------


def in_one_text(reasoning: str | None, text: str) -> dict[str, Any]:
    if reasoning is None:
        return alpaca("How many are there?", text)
    return alpaca("How many are there?", f"<think>{reasoning}</think>\n{text}")


def test_reasoning_that_ends_at_another_number_is_found(find_in: FindIn) -> None:
    expect_all(find_in, "CNF002", [in_one_text(*case) for case in PARTING])


def test_reasoning_that_agrees_with_the_answer_is_left_alone(find_in: FindIn) -> None:
    expect_none(find_in, "CNF002", [in_one_text(*case) for case in AGREEING])


def test_the_answer_is_marked_where_it_stands(find_in: FindIn) -> None:
    apart = {"role": "assistant", "content": "There are 14.", "reasoning_content": "So the total is 12."}
    rows = [
        chat(("user", "How many?"), ("assistant", "6 * 7 = 42.\n#### 44")),
        {"messages": [{"role": "user", "content": "How many?"}, apart]},
        chat(("user", "How many?"), ("assistant", "<think>So the total is 12.</think>There are 14.")),
    ]
    assert [(f.row, f.message, f.evidence.span, f.evidence.quote) for f in find_in("CNF002", rows)] == [
        (0, "The reasoning comes to 42, the answer is 44.", (17, 19), "44"),
        (1, "The reasoning comes to 12, the answer is 14.", (10, 12), "14"),
        (2, "The reasoning comes to 12, the answer is 14.", (44, 46), "14"),
    ]


def test_no_number_is_no_contradiction() -> None:
    assert contradiction("So the total is 12.", "Quite a few.") is None
    assert contradiction("It is hard to say.", "There are 12.") is None
    assert contradiction("So the total is 12.", "There are 13.") == Contradiction("12", "13", 10, 12)


def test_figures_are_read_as_they_are_written() -> None:
    text = "From 1,250 to -3.5, 75%, 3/4, \\frac{1}{2}, 2.5 million and forty-two; not 3:45, v1.2 or x2"
    assert [str(figure.value) for figure in figures_in(text)] == ["1250", "-7/2", "75", "3/4", "1/2", "2500000", "42"]


# --- CNF003 ---------------------------------------------------------------------------------------------------------


def test_sums_that_do_not_compute_are_found(find_in: FindIn) -> None:
    expect_all(find_in, "CNF003", [alpaca("How much is it?", text) for text in WRONG_SUMS])


def test_sums_that_compute_and_what_is_no_sum_are_left_alone(find_in: FindIn) -> None:
    expect_none(find_in, "CNF003", [alpaca("How much is it?", text) for text in NO_WRONG_SUMS])


def test_a_wrong_sum_is_marked_and_computed(find_in: FindIn) -> None:
    assert find_in("CNF003", [alpaca("Add.", "Well, 12 + 7 = 20 apples. And 3 × 4 = 12.")]) == [
        Finding(
            "CNF003",
            0,
            1,
            Severity.WARNING,
            "“12 + 7 = 20” does not compute: 12 + 7 is 19.",
            Evidence("value of the sum", 19.0, None, (), (6, 17), "12 + 7 = 20"),
        )
    ]


def test_a_wrong_sum_that_the_prompt_states_or_asks_about_is_not_the_responses(find_in: FindIn) -> None:
    rows = [
        alpaca("Is 2 + 2 = 5 so?", "They say 2 + 2 = 5 there."),
        alpaca("Find the mistake.", "2 + 2 = 5"),
        alpaca("Add in binary.", "10 + 10 = 100"),
        alpaca("Help me.", "```\n2 + 2 = 5\n```"),
    ]
    assert find_in("CNF003", rows) == []


def test_sums_in_reasoning_content_are_found_without_a_place_in_the_content(find_in: FindIn) -> None:
    turn = {"role": "assistant", "content": "Six.", "reasoning_content": "2 + 3 = 6"}
    (finding,) = find_in("CNF003", [{"messages": [{"role": "user", "content": "Add."}, turn]}])
    assert (finding.message, finding.evidence.span) == ("The reasoning: “2 + 3 = 6” does not compute: 2 + 3 is 5.", None)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("3 * 4 = 12 + 5 = 17", [("3 * 4", "12", "12", True), ("12 + 5", "17", "17", True)]),
        ("so 15% of 80 is 12.", [("15% of 80", "12", "12", True)]),
        ("\\(\\frac{3}{4} \\times 8 = 6\\)", [("\\frac{3}{4} \\times 8", "6", "6", True)]),
        ("2x + 1 = 7", []),
        ("10 / 4 = 2.6", [("10 / 4", "2.6", "2.5", False)]),
    ],
)
def test_equations_are_read(text: str, found: list[tuple[str, str, str, bool]]) -> None:
    assert [(e.sum_text, e.stated_text, shown(e.value), e.holds) for e in equations_in(text)] == found


# --- ANS001 ---------------------------------------------------------------------------------------------------------

ANSWERED = "It shows two riders who cross a river at dusk."


def test_prompts_that_lack_what_they_speak_of_are_found(find_in: FindIn) -> None:
    expect_all(find_in, "ANS001", [alpaca(prompt, ANSWERED) for prompt in MISSING])


def test_prompts_that_hold_what_they_speak_of_are_left_alone(find_in: FindIn) -> None:
    expect_none(find_in, "ANS001", [alpaca(prompt, ANSWERED) for prompt in PRESENT])


def test_what_is_missing_is_quoted(find_in: FindIn) -> None:
    assert find_in("ANS001", [alpaca("Describe the following painting.", ANSWERED)]) == [
        Finding(
            "ANS001",
            0,
            1,
            Severity.WARNING,
            "The prompt speaks of “the following painting”, which is not in the row.",
            Evidence(measure="reference to something that is not in the row", quote="the following painting"),
        )
    ]


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I cannot see any image.",
        "No passage was provided. Could you share it?",
        "Please attach the painting that you mean.",
        "There is no painting in your message.",
        "I don't see an attachment here.",
        "As an AI, I am unable to view pictures.",
    ],
)
def test_a_response_that_says_so_is_left_alone(find_in: FindIn, text: str) -> None:
    assert find_in("ANS001", [alpaca("Describe the following painting.", text)]) == []


def test_what_an_earlier_turn_holds_is_not_missing(find_in: FindIn) -> None:
    told = (("user", "Here it is: the fox and the crow met."), ("assistant", "Thank you."))
    rows = [chat(*told, ("user", "Summarize the text above."), ("assistant", "A fox met a crow."))]
    assert find_in("ANS001", rows) == []


# --- ANS002 and ANS003 ----------------------------------------------------------------------------------------------


def test_prompts_that_ask_for_the_content_of_an_address_are_found(find_in: FindIn) -> None:
    expect_all(find_in, "ANS002", [alpaca(prompt, "It explains how tides arise.") for prompt in URLS])


def test_addresses_that_are_text_are_left_alone(find_in: FindIn) -> None:
    expect_none(find_in, "ANS002", [alpaca(prompt, "It explains how tides arise.") for prompt in NO_URLS])


def test_an_address_is_quoted_and_a_refusal_left_alone(find_in: FindIn) -> None:
    prompt = "Summarise https://example.com/tides."
    rows = [alpaca(prompt, "The article explains tides."), alpaca(prompt, "I cannot open links.")]
    assert find_in("ANS002", rows) == [
        Finding(
            "ANS002",
            0,
            1,
            Severity.WARNING,
            "The prompt asks for the content of https://example.com/tides, which is not in the row.",
            Evidence(measure="address whose content is not in the row", quote="https://example.com/tides"),
        )
    ]


def test_prompts_that_ask_for_facts_of_the_moment_are_found(find_in: FindIn) -> None:
    expect_all(find_in, "ANS003", [alpaca(prompt, "It is 21 and rising.") for prompt in CURRENT])


def test_prompts_about_lasting_things_are_left_alone(find_in: FindIn) -> None:
    expect_none(find_in, "ANS003", [alpaca(prompt, "It is 21 and rising.") for prompt in TIMELESS])


def test_fast_facts_are_warnings_and_slow_ones_for_information(find_in: FindIn) -> None:
    fast, slow = "What is the weather in Lisbon right now?", "Who is the current president of France?"
    rows = [alpaca(fast, "It is sunny."), alpaca(slow, "A person."), alpaca(fast, "I have no access to live data.")]
    assert [(f.row, f.severity, f.evidence.quote) for f in find_in("ANS003", rows)] == [
        (0, Severity.WARNING, "What is the weather in"),
        (1, Severity.INFO, "Who is the current"),
    ]


# --- LNG001 and LNG002 ----------------------------------------------------------------------------------------------


def test_responses_in_another_language_are_found(find_in: FindIn) -> None:
    expect_all(find_in, "LNG001", [alpaca(*case) for case in OTHER_LANGUAGE])


def test_languages_that_are_asked_for_or_shared_are_left_alone(find_in: FindIn) -> None:
    expect_none(find_in, "LNG001", [alpaca(*case) for case in SAME_LANGUAGE])


def test_both_languages_are_named(find_in: FindIn) -> None:
    prompt, text = OTHER_LANGUAGE[0]
    evidence = Evidence("language of the response", None, None, (), (0, len(text)), text)
    expected = Finding("LNG001", 0, 1, Severity.WARNING, "The response is English, its prompt German.", evidence)
    assert find_in("LNG001", [alpaca(prompt, text)]) == [expected]


def test_a_system_turn_may_ask_for_a_language(find_in: FindIn) -> None:
    prompt, text = OTHER_LANGUAGE[0]
    assert find_in("LNG001", [chat(("system", "Answer in English."), ("user", prompt), ("assistant", text))]) == []


def test_responses_that_change_their_language_are_found(find_in: FindIn) -> None:
    expect_all(find_in, "LNG002", [alpaca("Tell me about it.", text) for text in MIXED])


def test_names_quotations_and_code_are_no_change_of_language(find_in: FindIn) -> None:
    expect_none(find_in, "LNG002", [alpaca("Tell me about it.", text) for text in UNMIXED])


def test_the_stretch_is_marked(find_in: FindIn) -> None:
    text = "The harbour is busy in the morning and quiet in the evening. 晚上港口很安静而且很美。 It is worth the trip."
    (finding,) = find_in("LNG002", [alpaca("Tell me about it.", text)])
    assert finding.message == "A stretch of the English response is Chinese."
    assert finding.evidence.quote == "晚上港口很安静而且很美。"
    assert finding.evidence.span == (text.index("晚"), text.index("。") + 1)


def test_a_prompt_about_languages_may_be_answered_in_several(find_in: FindIn) -> None:
    assert find_in("LNG002", [alpaca("Greet me in two languages.", MIXED[0])]) == []
