"""The life of a job: its store, its states, and the engine that moves it on."""
