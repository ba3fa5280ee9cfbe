"""The files beside the weights of a recogniser. Without torch, since a bundle is checked without it."""

# What a feature extractor and a tokenizer are made of; a recogniser has those of these that its two write.
PROCESSOR_FILES = (
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
