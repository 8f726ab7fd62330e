"""CLIP models: loading, features of images, patches and texts, learnt prompts, and adapters."""
