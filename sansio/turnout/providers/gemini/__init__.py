"""The generateContent API of Gemini, at AI Studio and at Vertex AI."""
