"""The nouns that cross a border: frozen msgspec Structs, one type for domain object, wire message and JSON answer."""
