"""The Messages API of Anthropic, also served by Vertex AI and others."""
