"""From a provider's parts to stems beside the source: named, aligned, verified, treated, placed."""
