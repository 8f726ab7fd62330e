from building import ROOT, dataset_class

from imo.datasets.tool.document import document


def test_the_document_is_current():
    assert (ROOT / "DATASETS.md").read_text(encoding="utf-8") == document(), "run: imo datasets document"


def test_the_document_has_every_declared_fact():
    text = document()
    for path in (ROOT / "configs/datasets").glob("*.yaml"):
        kind = dataset_class(path.stem)
        assert kind.__name__ in text
        for source in kind.sources.values():
            assert source in text
        if kind.sizes:
            assert f"{kind.sizes.classes:,} classes" in text and f"{kind.sizes.test:,} images" in text
