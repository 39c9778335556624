"""The sandbox's side of bedrock."""
