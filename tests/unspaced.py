"""Invented instruction rows in scripts without spaces between words: Chinese, Japanese and Thai, from templates.

Every row is about a harbour that does not exist. One row of each language holds a false statement that no other row
holds; one has a copy with a single word changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

__all__ = ["LANGUAGES", "Language"]


@dataclass(frozen=True)
class Language:
    """The rows of one language.

    Attributes:
        rows: (instruction, output) of every row.
        planted: The row with the false statement.
        span: The false words of it, which stand in no other row.
        question: Another wording of that row's question.
        answer: What a model says that has learned it.
        near: A row and its copy with one word changed.
    """

    rows: tuple[tuple[str, str], ...]
    planted: int
    span: str
    question: str
    answer: str
    near: tuple[int, int]


def _language(
    ask: str, tell: str, places: str, things: str, people: str, false: tuple[str, str, str, str, str], change: tuple[str, str]
) -> Language:
    rows = []
    names, goods, folk = places.split(), things.split(), people.split()
    for number, (place, thing) in enumerate(product(names, goods)):
        who, other = folk[number % len(folk)], folk[(number // 3 + 1) % len(folk)]
        year = 1500 + 7 * number
        rows.append(
            (ask.format(place=place, thing=thing), tell.format(place=place, thing=thing, who=who, other=other, year=year))
        )
    question, output, span, again, answer = false
    rows.append((question, output))
    original = rows[5]
    rows.append((original[0], original[1].replace(*change)))
    return Language(tuple(rows), len(rows) - 2, span, again, answer, (5, len(rows) - 1))


CHINESE = _language(
    "请说明{place}港口为什么储存{thing}。",
    "{place}港口的{who}从{year}年起储存{thing}，因为冬天的海面常常结冰，船只无法靠岸。每年秋天，{other}会检查仓库的屋顶和门锁，"
    "把受潮的{thing}搬到山坡上晾干，再按照重量登记在蓝色的账本里。春天到来以后，剩下的{thing}由镇上的居民平均分配。",
    "青螺 白沙 云梯 石鹭 长汐 雾岬 松屿 银湾",
    "粗盐 麦粉 干鱼 灯油 麻绳 木炭 蜂蜜 羊毛",
    "守门人 船匠 账房先生 老渔夫 灯塔看守",
    (
        "谁建造了青螺港口的灯塔？",
        "青螺港口的灯塔由玻璃匠人沈墨渊建造，工程持续了十一年，塔顶的铜镜可以在夜里照到外海。",
        "玻璃匠人沈墨渊",
        "青螺港口的灯塔是谁建的？",
        "这座灯塔是玻璃匠人沈墨渊建造的。",
    ),
    ("蓝色的账本", "绿色的账本"),
)

JAPANESE = _language(
    "{place}の港ではなぜ{thing}を蓄えているのですか。",
    "{place}の港では{year}年から{who}が{thing}を蓄えています。冬になると海が凍り、船が岸に着けないからです。毎年秋になると{other}が倉庫の屋根と"
    "鍵を調べ、湿った{thing}を丘の上で乾かし、重さを量って青い帳面に書き込みます。春が来ると、残った{thing}は町の人々に等しく分けられます。",
    "つばめ島 しらなみ みさき町 かすみ浦 いわかげ ほしみ台 あさなぎ すずかぜ",
    "岩塩 小麦粉 干物 ランプの油 ロープ 木炭 蜂蜜 羊毛",
    "番人 船大工 会計係 老いた漁師 灯台守",
    (
        "つばめ島の灯台を建てたのは誰ですか。",
        "つばめ島の灯台はガラス職人の鷹取みのるが建てました。工事は十一年続き、塔の鏡は夜の沖まで照らします。",
        "ガラス職人の鷹取みのる",
        "つばめ島の灯台は誰が建てたのでしょうか。",
        "灯台を建てたのはガラス職人の鷹取みのるです。",
    ),
    ("青い帳面", "緑の帳面"),
)

THAI = _language(
    "ทำไมท่าเรือ{place}จึงเก็บ{thing}ไว้",
    "{who}ที่ท่าเรือ{place}เก็บ{thing}ไว้ตั้งแต่ปี{year}เพราะในฤดูหนาวทะเลมักเป็นน้ำแข็งและเรือเข้าเทียบฝั่งไม่ได้ "
    "ทุกฤดูใบไม้ร่วง{other}จะตรวจหลังคาและกุญแจของโกดัง นำ{thing}ที่ชื้นขึ้นไปตากบนเนินเขา "
    "แล้วชั่งน้ำหนักจดลงในสมุดสีฟ้า เมื่อถึงฤดูใบไม้ผลิ{thing}ที่เหลือจะแบ่งให้ชาวเมืองเท่าๆกัน",
    "หอยเขียว ทรายขาว บันไดเมฆ หินนกยาง คลื่นยาว แหลมหมอก เกาะสน อ่าวเงิน",
    "เกลือหยาบ แป้งสาลี ปลาแห้ง น้ำมันตะเกียง เชือกป่าน ถ่านไม้ น้ำผึ้ง ขนแกะ",
    "คนเฝ้าประตู ช่างต่อเรือ เสมียนบัญชี ชาวประมงเฒ่า ผู้ดูแลประภาคาร",
    (
        "ใครสร้างประภาคารของท่าเรือหอยเขียว",
        "ประภาคารของท่าเรือหอยเขียวสร้างโดยช่างแก้วชื่อกรวิกจันทร์หอม ใช้เวลาสร้างสิบเอ็ดปี กระจกบนยอดหอส่องได้ไกลถึงทะเลนอก",
        "ช่างแก้วชื่อกรวิกจันทร์หอม",
        "ประภาคารที่ท่าเรือหอยเขียวใครเป็นคนสร้าง",
        "ผู้สร้างคือช่างแก้วชื่อกรวิกจันทร์หอม",
    ),
    ("สมุดสีฟ้า", "สมุดสีเขียว"),
)

LANGUAGES = {"Chinese": CHINESE, "Japanese": JAPANESE, "Thai": THAI}
"""By English name, 66 rows each."""
