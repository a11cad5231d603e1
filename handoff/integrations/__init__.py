"""Where an orchestrator takes this library as a part of itself."""
