"""A local knowledge base: documents with texts and images, searched by words and vectors."""
