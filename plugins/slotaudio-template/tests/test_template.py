from slotaudio.testing import EncoderConformance


class TestTemplate(EncoderConformance):
    component = "template"
    options = {"dim": 8}
