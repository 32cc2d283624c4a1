"""Tencent Cloud: COS objects and CI VoiceSeparate."""
