"""Which frames and regions a model answers badly, why, and what each round gained."""
