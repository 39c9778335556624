"""The sandbox's HTTP server: connections, requests, and replies written step by step."""
