"""Train the built-in heads anew, after a change to the examples: ``python -m pipeline.text.intents``."""

from pipeline.settings import config_folder
from pipeline.text.intents.embedding import BUILT_IN, find_embedder
from pipeline.text.intents.heads import SHIPPED, write_shipped

write_shipped(config_folder() / "intents" / SHIPPED, find_embedder(BUILT_IN))
