from __future__ import annotations

from eojax.messages import counted


def test_nouns_follow_their_number():
    texts = [counted(0, 'image'), counted(1, 'image'), counted(2000, 'place'), counted(3, 'class')]
    assert texts == ['0 images', '1 image', '2,000 places', '3 classes']
