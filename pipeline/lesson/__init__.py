"""A lesson under a workspace, from the card to nothing: a second run goes on from the first one's receipts.

One module per step, in this order: ``state`` (where a clip stands), ``card``, ``approve``, ``deliver``, ``wipe``; and
``withdraw``, which may come at any time. Two questions come back in many of them: what lies where it was delivered
(``lying``), and what lies on a card still (``on_card``).
"""
