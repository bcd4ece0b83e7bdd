"""What goes with an export: a section of a card that keeps the rest, metadata that loaders read, and the hub when asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import yaml
from huggingface_hub import constants
from huggingface_hub.utils import close_session

import tunescope
from audit.errors import InputError
from audit.export import Exported, ExportRequest, plan_export, write_export
from audit.export.decisions import Choice, decide
from reports.card import card_section, read_card, update_card
from reports.croissant import croissant_json
from reports.publishing import Publication, Published, check_publication, publish
from tests.conftest import alpaca, chat
from tests.hub_server import HubServer, serve_hub

ROWS = [alpaca(f"Say {word}.", f"You asked for {word}, so here it is.") for word in "one two three four five six".split()]
ROWS += [alpaca("Say seven.", "N/A"), alpaca("Say eight.", "n/a")]
BEGIN = "<!-- tunescope: begin; written by `tunescope export --card`, changes in here are lost -->"
END = "<!-- tunescope: end -->"


@pytest.fixture
def exported(audit_rows, tmp_path) -> Exported:
    """An export beside which nothing lies yet."""
    plan = plan_export(audit_rows(ROWS), ExportRequest(drop=("TXT",)))
    return write_export(plan, tmp_path / "out" / "cleaned.jsonl")


def test_a_section_says_what_left_why_and_how_to_do_it_again(exported) -> None:
    source = exported.plan.run.manifest["source"]["sha256"]
    record = json.loads(exported.plan.run.read_added("exports", exported.name, "manifest.json"))
    version = exported.plan.run.summary.tunescope
    encoder = Path(exported.plan.run.settings["encoder"]).name
    assert card_section(exported) == (
        "## Cleaning\n\n"
        "`cleaned.jsonl` is `data.jsonl` without 2 of its 8 rows (25.0 %); 6 stay.\n\n"
        "| reason | finding | rows | share of rows |\n"
        "|---|---|---:|---:|\n"
        "| TXT002 | placeholder response | 2 | 25.0 % |\n\n"
        "A row that left for two reasons counts under both.\n\n"
        "Note: 25.0% of the rows leave: more than 10 %, so the control loses many good rows too.\n\n"
        "What a row was dropped for is a measured fact about it, and no proof that it harms: `tunescope verify` measures "
        "that.\n\n"
        f"To do it again, with tunescope {version}:\n\n"
        "```sh\n"
        "tunescope audit data.jsonl -o run --config settings.yaml\n"
        "tunescope export run -o cleaned.jsonl --drop TXT\n"
        "```\n\n"
        "with these settings in `settings.yaml`:\n\n"
        f"```yaml\nencoder: {encoder}\n```\n\n"
        "| file | SHA-256 |\n|---|---|\n"
        f"| `data.jsonl` | `{source}` |\n"
        f"| `cleaned.jsonl` | `{record['cleaned']['sha256']}` |"
    )


def test_a_section_repeats_what_was_decided(audit_rows, tmp_path) -> None:
    run = audit_rows(ROWS)
    decide(run, [1], Choice.DROP, "no longer true")
    decide(run, [2], Choice.KEEP)
    section = card_section(write_export(plan_export(run, ExportRequest(drop=("TXT",))), tmp_path / "cleaned.jsonl"))
    assert (
        "-o run --config settings.yaml\n"
        "tunescope decide run --drop 'data.jsonl#1' --reason 'no longer true'\n"
        "tunescope decide run --keep 'data.jsonl#2'\n"
        "tunescope export run -o cleaned.jsonl --drop TXT\n"
    ) in section
    passed_over = plan_export(run, ExportRequest(drop=("TXT",), decisions=False))
    assert "tunescope decide" not in card_section(write_export(passed_over, tmp_path / "other.jsonl"))


def test_a_section_names_its_controls(audit_rows, tmp_path) -> None:
    rows = [alpaca(f"Say {n}.", f"Here is number {n:02}." if n % 10 else "<nooutput>........") for n in range(40)]
    request = ExportRequest(drop=("TXT",), control_seeds=(3, 5), keep=("longest:38",))
    exported = write_export(plan_export(audit_rows(rows), request), tmp_path / "out.jsonl")
    section = card_section(exported)
    (control, _) = exported.plan.controls
    assert (
        f"`out.random-3.jsonl` is a control: 4 rows drawn at random (seed 3) left instead, with {control.characters} "
        f"characters of responses against {control.cleaned_characters}."
    ) in section
    assert "tunescope export run -o out.jsonl --drop TXT --keep longest:38 --control random:3,5\n" in section
    assert section.count("`out.random-5.jsonl`") == 2


def test_a_new_card_is_begun_and_names_the_file_alone() -> None:
    card = update_card("", "section", Path("a: b's.jsonl"))
    front, rest = card.removeprefix("---\n").split("---\n", 1)
    assert yaml.safe_load(front) == {"configs": [{"config_name": "default", "data_files": "a: b's.jsonl"}]}
    assert rest == f"\n# a: b's\n\n{BEGIN}\nsection\n{END}\n"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_rest_of_a_card_is_untouched(end) -> None:
    card = "---\nlicense: cc0-1.0\n---\n# Mine\n\nText — 👩‍👩‍👧.\n".replace("\n", end)
    block = f"{BEGIN}\nfirst\n{END}".replace("\n", end)
    once = update_card(card, "first", Path("a.jsonl"))
    assert once == card + end + block + end
    longer = once + f"{end}## After{end}"
    assert update_card(longer, "second\nline", Path("b.jsonl")) == longer.replace("first", f"second{end}line")
    assert update_card(once, "first", Path("a.jsonl")) == once


@pytest.mark.parametrize(
    "card", [BEGIN, END, f"{END}\n{BEGIN}", f"{BEGIN}\n{END}\n{BEGIN}\n{END}", f"{BEGIN}\n<!-- tunescope: end"]
)
def test_a_damaged_section_is_refused(tmp_path, card) -> None:
    (tmp_path / "README.md").write_text(card)
    with pytest.raises(InputError, match="has not one beginning and one end"):
        read_card(tmp_path)


def test_a_card_that_is_no_text_is_refused_before_anything_is_written(tmp_path) -> None:
    (tmp_path / "README.md").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="the card is no UTF-8"):
        check_publication(Publication(card=True), tmp_path / "cleaned.jsonl")
    check_publication(Publication(croissant=True), tmp_path / "cleaned.jsonl")


def test_card_and_metadata_are_written_beside_the_file_and_again(exported) -> None:
    folder = exported.cleaned.parent
    card = folder / "README.md"
    card.write_text("---\nlicense: [cc0-1.0]\n---\n# Mine\n")
    asked = Publication(card=True, croissant=True)
    assert publish(exported, asked) == Published((card, folder / "croissant.json"), None)
    written = card.read_text()
    assert written.startswith("---\nlicense: [cc0-1.0]\n---\n# Mine\n\n" + BEGIN)
    assert json.loads((folder / "croissant.json").read_text())["license"] == ["cc0-1.0"]
    publish(exported, asked)
    assert card.read_text() == written
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "cleaned.jsonl", "croissant.json"]


def test_metadata_of_something_else_is_not_replaced(tmp_path) -> None:
    (tmp_path / "croissant.json").write_text('{"breakfast": true}')
    with pytest.raises(InputError, match="is no Croissant metadata"):
        check_publication(Publication(croissant=True), tmp_path / "cleaned.jsonl")


def read_croissant(exported: Exported, card: str = "") -> tuple[dict, list[dict]]:
    """The metadata, valid without a warning, and the records that its loader reads."""
    import mlcroissant

    path = exported.cleaned.parent / "croissant.json"
    path.write_bytes(croissant_json(exported, date(2026, 1, 2), card))
    dataset = mlcroissant.Dataset(path)
    assert dataset.metadata.ctx.issues.errors == dataset.metadata.ctx.issues.warnings == set()
    return json.loads(path.read_text()), list(dataset.records("records"))


MIXED = [
    {"instruction": "Ask é.", "output": "N/A", "score": 1, "ok": True, "weight": 1.5, "tags": ["a", "b"]},
    {"instruction": "Ask B.", "output": "One answer.", "score": 2, "ok": False, "weight": 2.0, "tags": []},
    {"instruction": "Ask C.", "output": "Another answer.", "score": 3, "ok": None, "weight": 0.0, "tags": ["你好"]},
]
TEXTS = [(b"Ask B.", b"One answer."), (b"Ask C.", b"Another answer.")]


def export_file(audit_file, path: Path) -> Exported:
    return write_export(
        plan_export(audit_file(path), ExportRequest(drop=("TXT",))), path.parent / "out dir" / f"clean {path.name}"
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet"])
def test_the_records_of_an_export_can_be_read_by_its_metadata(audit_file, tmp_path, suffix) -> None:
    path = tmp_path / f"data.{suffix}"
    frame = pl.DataFrame(MIXED)
    getattr(frame, {"jsonl": "write_ndjson", "json": "write_json", "parquet": "write_parquet"}[suffix])(path)
    exported = export_file(audit_file, path)
    content, records = read_croissant(exported)
    assert records == [
        {
            "records/instruction": instruction,
            "records/output": output,
            "records/score": row["score"],
            "records/ok": row["ok"],
            "records/weight": row["weight"],
            "records/tags": [tag.encode() for tag in row["tags"]],
        }
        for (instruction, output), row in zip(TEXTS, MIXED[1:], strict=True)
    ]
    types = {field["name"]: (field["dataType"], field.get("repeated", False)) for field in content["recordSet"][0]["field"]}
    assert types == {
        "instruction": ("sc:Text", False),
        "output": ("sc:Text", False),
        "score": ("sc:Integer", False),
        "ok": ("sc:Boolean", False),
        "weight": ("sc:Float", False),
        "tags": ("sc:Text", True),
    }
    (file,) = content["distribution"]
    record = json.loads(exported.plan.run.read_added("exports", exported.name, "manifest.json"))
    assert (file["contentUrl"], file["sha256"]) == (f"clean data.{suffix}", record["cleaned"]["sha256"])
    assert (content["datePublished"], content["license"]) == ("2026-01-02", "unknown")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_csv_has_texts(audit_file, tmp_path) -> None:
    path = tmp_path / "data.csv"
    pl.DataFrame(MIXED).select("instruction", "output", pl.col("score").alias("a score, in %")).write_csv(path)
    _, records = read_croissant(export_file(audit_file, path), "---\nlicense: mit\n---\n")
    assert [tuple(record.values()) for record in records] == [(*TEXTS[0], b"2"), (*TEXTS[1], b"3")]
    assert list(records[0]) == ["records/instruction", "records/output", "records/a_score__in__"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_messages_have_subfields_and_what_lies_deeper_is_named(audit_rows, tmp_path) -> None:
    call = [{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]
    rows = [
        chat(("user", "Hi"), ("assistant", "Hello there"), meta={"from": "x", "n": 1}),
        chat(("user", "Yo"), ("assistant", "N/A")),
    ]
    rows[0]["messages"] += [{"role": "user", "content": "Call."}, *call]
    exported = write_export(plan_export(audit_rows(rows), ExportRequest(drop=("TXT002",))), tmp_path / "out" / "c.jsonl")
    content, records = read_croissant(exported)
    message = "records/messages/"
    assert records == [
        {
            "records/messages": [
                {f"{message}role": role.encode(), f"{message}content": text.encode()}
                for role, text in (("user", "Hi"), ("assistant", "Hello there"), ("user", "Call."), ("assistant", ""))
            ],
            "records/meta": {"records/meta/from": b"x", "records/meta/n": 1},
        }
    ]
    assert content["recordSet"][0]["description"] == (
        "1 row of c.jsonl. Without a field, because its readers cannot take it apart: messages.tool_calls."
    )


def test_a_field_of_an_array_that_some_rows_lack_is_named_and_left_out(audit_file, tmp_path) -> None:
    path = tmp_path / "data.json"
    path.write_text(json.dumps([*ROWS, alpaca("Say nine.", "Nine it is then.", extra="x")]))
    content = json.loads(croissant_json(export_file(audit_file, path), date(2026, 1, 2)))
    assert [field["name"] for field in content["recordSet"][0]["field"]] == ["instruction", "input", "output"]
    assert content["recordSet"][0]["description"].endswith("take it apart: extra.")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_folder_has_its_card_and_a_record_set_per_file_within(audit_file, tmp_path, hub) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name, rows in (("test.jsonl", ROWS[:3]), ("train.jsonl", ROWS[3:])):
        (data / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    exported = write_export(plan_export(audit_file(data), ExportRequest(drop=("TXT",))), tmp_path / "cleaned")
    assert publish(exported, Publication(repository="my-org/my-data")).files == (
        exported.cleaned / "README.md",
        exported.cleaned / "croissant.json",
    )
    assert set(hub.files["my-org/my-data"]) == {"README.md", "croissant.json", "test.jsonl", "train.jsonl"}
    card = read_card(exported.cleaned)
    assert card.startswith("# cleaned\n\n" + BEGIN)
    assert "| `cleaned/train.jsonl` | `" in card

    import mlcroissant

    dataset = mlcroissant.Dataset(exported.cleaned / "croissant.json")
    assert dataset.metadata.ctx.issues.errors == dataset.metadata.ctx.issues.warnings == set()
    assert [len(list(dataset.records(name))) for name in ("records-0", "records-1")] == [3, 3]


def test_ids_are_distinct_where_names_differ_in_marks(audit_rows, tmp_path) -> None:
    rows = [{**row, "a b": 1, "a-b": 2, "a/b": 3, "": 4} for row in ROWS]
    exported = write_export(plan_export(audit_rows(rows), ExportRequest()), tmp_path / "out" / "c.jsonl")
    content = json.loads(croissant_json(exported, date(2026, 1, 2)))
    ids = {field["name"]: field["@id"] for field in content["recordSet"][0]["field"]}
    assert [ids[name] for name in ("a b", "a-b", "a/b", "")] == ["records/a_b", "records/a-b", "records/a_b.2", "records/_"]


@pytest.fixture
def hub(monkeypatch) -> Iterator[HubServer]:
    """A hub of the test's own, which the library takes for the real one."""
    with serve_hub() as server:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        close_session()
        yield server
        close_session()


def test_an_upload_holds_export_card_and_metadata_and_is_private(exported, hub) -> None:
    asked = Publication(repository="my-org/my-data")
    check_publication(asked, exported.cleaned)
    published = publish(exported, asked)
    folder = exported.cleaned.parent
    assert published == Published((folder / "README.md", folder / "croissant.json"), f"{hub.url}/datasets/my-org/my-data")
    assert hub.files == {"my-org/my-data": {path.name: path.read_bytes() for path in folder.iterdir()}}
    assert hub.private == {"my-org/my-data": True}
    assert hub.tokens - {""} == {"Bearer hf_test"}


def test_a_card_on_the_hub_keeps_its_own_text(exported, hub) -> None:
    hub.files["my-org/my-data"] = {"README.md": b"---\nlicense: mit\n---\n# Theirs\n"}
    publish(exported, Publication(repository="my-org/my-data"))
    card = hub.files["my-org/my-data"]["README.md"].decode()
    assert card == update_card("---\nlicense: mit\n---\n# Theirs\n", card_section(exported), exported.cleaned)
    assert "Theirs" not in (exported.cleaned.parent / "README.md").read_text()


def test_public_only_when_asked(exported, hub) -> None:
    publish(exported, Publication(repository="my-org/my-data", public=True))
    assert hub.private == {"my-org/my-data": False}


def test_a_refusal_of_the_hub_is_one_line_and_the_files_stay(exported, hub) -> None:
    hub.refuse_commits = True
    with pytest.raises(InputError, match="the upload failed; the files were written") as raised:
        publish(exported, Publication(repository="my-org/my-data"))
    assert "\n" not in str(raised.value)
    assert "403" in str(raised.value)
    assert (exported.cleaned.parent / "README.md").exists()


def test_a_hub_that_is_not_there_is_one_line(exported, hub, monkeypatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="the upload failed"):
        publish(exported, Publication(repository="my-org/my-data"))


@pytest.mark.parametrize("repository", ["my-data", "a/b/c", "../x/y", "my org/data", "org/"])
def test_a_name_that_is_none_is_refused(tmp_path, hub, repository) -> None:
    with pytest.raises(InputError, match="is not ORG/NAME"):
        check_publication(Publication(repository=repository), tmp_path / "cleaned.jsonl")
    assert hub.requests == []


def test_no_upload_offline_or_without_a_token(tmp_path, hub, monkeypatch) -> None:
    asked = Publication(repository="my-org/my-data")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    with pytest.raises(InputError, match="no token"):
        check_publication(asked, tmp_path / "cleaned.jsonl")
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
        check_publication(asked, tmp_path / "cleaned.jsonl")
    assert hub.requests == []


def test_an_export_by_python_publishes_and_touches_no_network_unasked(audit_rows, tmp_path, hub) -> None:
    run = audit_rows(ROWS)
    tunescope.export(run, tmp_path / "plain" / "cleaned.jsonl", drop=["TXT"])
    assert [path.name for path in (tmp_path / "plain").iterdir()] == ["cleaned.jsonl"]
    tunescope.export(run, tmp_path / "both" / "cleaned.jsonl", drop=["TXT"], card=True, croissant=True)
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["README.md", "cleaned.jsonl", "croissant.json"]
    tunescope.export(run, tmp_path / "dry" / "cleaned.jsonl", drop=["TXT"], card=True, dry_run=True)
    assert not (tmp_path / "dry").exists()
    assert hub.requests == []
    tunescope.export(run, tmp_path / "up" / "cleaned.jsonl", drop=["TXT"], push_to_hub="my-org/my-data")
    assert set(hub.files["my-org/my-data"]) == {"README.md", "cleaned.jsonl", "croissant.json"}
    with pytest.raises(InputError, match="--public alone"):
        tunescope.export(run, tmp_path / "no" / "cleaned.jsonl", public=True)
    assert not (tmp_path / "no").exists()
