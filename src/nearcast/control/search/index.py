"""The index itself, by tantivy, in memory.

In memory because it is rebuilt from the catalog in less time than a file would take to be checked (10,000 titles in a
second or two): nothing can be stale, locked or damaged, and no other process needs it. The query is built from words, never
parsed, so nothing that is typed can be an error.
"""

from __future__ import annotations

from collections.abc import Iterable

import tantivy
from tantivy import Document, Occur, Query

from nearcast.control.search.words import edits, query_words, words
from nearcast.model.title import VISIBLE, Publication

WRITER_BYTES = 15_000_000
"""The least that tantivy takes."""

# What a word is worth by where it stands, and how: whole, as a beginning, with a typing error.
_WEIGHTS = {"name": (8.0, 5.0, 3.0), "genres": (2.5, 1.5, 0.8), "credit": (2.0, 1.0, 0.5), "synopsis": (1.0, 0.5, 0.2)}
_WHOLE_NAME = 6.0
_NAME_START = 4.0
_RELEVANCE = 0.05
"""What BM25 may add: it orders what is otherwise equal, as rare words before common ones."""


class TitleIndex:
    """Finds title ids. Not for several threads at once: its owner calls it from one."""

    def __init__(self) -> None:
        builder = tantivy.SchemaBuilder()
        builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
        for name in _WEIGHTS:
            builder.add_text_field(name, tokenizer_name="spaces", index_option="freq")
        builder.add_text_field("whole", tokenizer_name="raw", index_option="basic")
        self._schema = builder.build()
        self._index = tantivy.Index(self._schema)
        spaces = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
        self._index.register_tokenizer("spaces", spaces)
        self._writer = self._index.writer(WRITER_BYTES, 1)

    def update(self, publications: Iterable[Publication]) -> None:
        """Take in what changed; withdrawn titles go. It is found after ``commit``, which costs a tenth of a second."""
        for each in publications:
            self._writer.delete_documents_by_term("id", each.title_id)
            if each.state in VISIBLE:
                self._writer.add_document(Document.from_dict(_document(each), self._schema))

    def commit(self) -> None:
        self._writer.commit()
        self._index.reload()

    def clear(self) -> None:
        """Forget everything, once ``commit`` is called."""
        self._writer.delete_all_documents()

    def __len__(self) -> int:
        return int(self._index.searcher().num_docs)

    def search(self, query: str, limit: int) -> list[str]:
        """Title ids, best first: those that have every word, or where there are none those that have half of them."""
        searched = query_words(query)
        if not searched or limit < 1:
            return []
        each = [self._word(word, last=position == len(searched) - 1) for position, word in enumerate(searched)]
        bonus = self._bonus(" ".join(searched))
        found = self._run(Query.boolean_query([*((Occur.Must, one) for one in each), (Occur.Should, bonus)]), limit)
        if not found and len(each) > 1:
            some = Query.boolean_query([(Occur.Should, one) for one in each], minimum_number_should_match=(len(each) + 1) // 2)
            found = self._run(Query.boolean_query([(Occur.Must, some), (Occur.Should, bonus)]), limit)
        return found

    def _run(self, query: Query, limit: int) -> list[str]:
        searcher = self._index.searcher()
        hits = searcher.search(query, limit, count=False).hits
        return [str(searcher.doc(address).get_first("id")) for _, address in hits]

    def _word(self, word: str, *, last: bool) -> Query:
        """Every way in which a title may have ``word``; the best one counts. Only the last word may be half typed, and half
        typed with an error only once it is long."""
        ways = []
        for field, (whole, beginning, mistyped) in _WEIGHTS.items():
            term = Query.term_query(self._schema, field, word, "freq")
            ways.append(Query.boolean_query([(Occur.Must, Query.const_score_query(term, whole)), (Occur.Should, _faint(term))]))
            if last or len(word) >= 3:
                ways.append(Query.const_score_query(self._near(field, word, 0, prefix=True), beginning))
            if edits(word):
                ways.append(Query.const_score_query(self._near(field, word, edits(word), prefix=False), mistyped))
                if last and len(word) >= 5:
                    ways.append(Query.const_score_query(self._near(field, word, edits(word), prefix=True), mistyped * 0.8))
        return Query.disjunction_max_query(ways, 0.1)

    def _near(self, field: str, word: str, distance: int, *, prefix: bool) -> Query:
        return Query.fuzzy_term_query(self._schema, field, word, distance, True, prefix)

    def _bonus(self, phrase: str) -> Query:
        """A title that is called just so, or begins so, comes first."""
        whole = Query.const_score_query(Query.term_query(self._schema, "whole", phrase, "basic"), _WHOLE_NAME)
        start = Query.const_score_query(self._near("whole", phrase, 0, prefix=True), _NAME_START)
        return Query.boolean_query([(Occur.Should, whole), (Occur.Should, start)])


def _faint(query: Query) -> Query:
    return Query.boost_query(query, _RELEVANCE)


def _document(publication: Publication) -> dict[str, str]:
    metadata = publication.metadata
    name = " ".join(words(metadata.name))
    year = f" {metadata.year}" if metadata.year else ""
    return {
        "id": publication.title_id,
        "name": name,
        "whole": name,
        "genres": " ".join(words(" ".join(metadata.genres))) + year,
        "credit": " ".join(words(metadata.credit)),
        "synopsis": " ".join(words(metadata.synopsis)),
    }
