"""Archives of calls: taken in, judged one by one, kept until they are fetched."""
