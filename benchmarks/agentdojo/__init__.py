"""AgentDojo (arXiv 2406.13352) without a model, through the real runtime."""
