"""The `snippets` fixture of the test folders whose tests run blocks of the documents."""
import pytest

from snippets import read


@pytest.fixture
def snippets(request):
    """snippets("docs/x.md") are the blocks of that document that name the running test."""
    name = getattr(request.node, "originalname", request.node.name)

    def take(document):
        found = [s.text for s in read(document) if s.test == name]
        assert found, f"{document} has no block with test={name}"
        return found
    return take
