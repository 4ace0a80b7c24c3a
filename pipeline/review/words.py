"""What the page calls things. The keys are what scripts and templates know, the words are the catalogues'."""

from __future__ import annotations

from pipeline.messages import Speech


def reason(speech: Speech, key: str) -> str:
    """Why somebody is hidden or shown, in plain words."""
    tr = speech.tr
    return {
        "matched": tr("Recognised with certainty; consent is in force."),
        "no_keep_list": tr("Nobody was to be recognised, so everyone is hidden."),
        "not_looked": tr("Not seen well enough here to be recognised, so hidden."),
        "too_small": tr("The face is too small to be recognised."),
        "too_few_views": tr("Seen from too few sides to be sure."),
        "stranger": tr("Looks like nobody who may be recognised."),
        "unsure": tr("May be somebody who agreed, but not surely enough."),
        "ambiguous": tr("Looks like two people who agreed; hidden, because it is not sure which."),
        "two_places": tr("The same person seemed to be in two places at once."),
        "outside_evidence": tr("Before or after the moments at which the person was recognised."),
        "no_consent": tr("No consent is in force."),
        "weak": tr("Perhaps no face at all; hidden to be safe."),
        "hidden_by_hand": tr("Hidden by hand."),
        "named_by_hand": tr("Named by hand; consent is in force."),
        "second_look": tr("Seen by a second look at the finished film; hidden to be safe."),
        "seen": tr("A second look at the finished film sees a face here; hide it, or approve knowing that."),
        "drawn": tr("Drawn by hand; follows the picture."),
        "held": tr("The region lost its hold here and was kept large; look whether it covers."),
    }.get(key, tr("Hidden to be safe."))


def stage(speech: Speech, key: str) -> str:
    """Where a clip stands."""
    tr = speech.tr
    return {
        "copied": tr("not rendered yet"),
        "rendered": tr("to be reviewed"),
        "approved": tr("approved"),
        "delivered": tr("delivered"),
        "removed": tr("removed"),
        "deleted": tr("deleted"),
        "wiped": tr("wiped"),
        "outdated": tr("to be made anew"),
    }.get(key, key)


def role(speech: Speech, key: str) -> str:
    tr = speech.tr
    return {"coach": tr("coach"), "reviewer": tr("reviewer"), "officer": tr("privacy officer")}.get(key, key)


def kind(speech: Speech, key: str, of: str = "") -> str:
    """A row of the log; ``of`` is another person whom it is about."""
    tr = speech.tr
    return {
        "approval": tr("judged a rendering"),
        "repair": tr("asked for a repair"),
        "repair_undone": tr("took a repair back"),
        "look": tr("looked at an original"),
        "watched": tr("opened a clip"),
        "delivery": tr("delivered"),
        "delivery_removed": tr("removed"),
        "delivery_lost": tr("said to be lost"),
        "withdrawal": tr("consent was withdrawn"),
        "approved": tr("approved"),
        "rejected": tr("rejected"),
        "first": tr("approved as the first of two"),
        "carried": tr("carried over from the approval by {name}, after a recall", name=of),
        "despite_rejection": tr("approved, which took back the rejection by {name}", name=of),
        "folder": tr("folder"),
        "onedrive": tr("OneDrive"),
        "hide": tr("hide"),
        "show": tr("show"),
        "region": tr("drawn region"),
        "mute": tr("mute"),
        "split": tr("split"),
        "join": tr("same person"),
    }.get(key, key)


def script(speech: Speech) -> dict[str, str]:
    """The words of the clip's page that its scripts put there."""
    tr = speech.tr
    return {
        "hidden": tr("hidden"),
        "shown": tr("recognisable"),
        "doubt": tr("doubtful"),
        "person": tr("Person {n}"),
        "region": tr("Region {n}"),
        "sighting": tr("Seen clear {n}"),
        "minor": tr("Brief or faint ({n})"),
        "more": tr("{n} more"),
        "minor_hint": tr("May be nobody. Hidden to be safe."),
        "all_frames": tr("whole clip"),
        "from_to": tr("{from} to {to}"),
        "no_doubts": tr("No doubtful moments."),
        "doubt_of": tr("Doubt {n} of {of}"),
        "hide": tr("hidden by hand"),
        "show": tr("shown: {person}"),
        "drawn": tr("region drawn"),
        "mute": tr("muted"),
        "split": tr("split"),
        "join": tr("same person as {person}"),
        "by": tr("by {name}"),
        "undo": tr("Undo"),
        "undone": tr("undone"),
        "moot": tr("no longer applies"),
        "pending": tr("being rendered"),
        "sent_later": tr("waits for the connection"),
        "offline": tr(
            "No connection. {n} {n:repair waits|repairs wait} here and {n:is|are} sent as soon as it is back."
        ),
        "offline_none": tr("No connection. You can go on; nothing gets lost."),
        "verdict_lost": tr("No connection: your verdict has NOT arrived. Give it again when the connection is back."),
        "signed_out": tr(
            "You are no longer signed in as {name} ({role}). Your repairs wait here; sign in so again in another tab."
        ),
        "work_begin": tr("Starting"),
        "work_follow": tr("Following the region"),
        "work_render": tr("Hiding"),
        "work_check": tr("Checking"),
        "work_busy": tr("Waiting for another run to end"),
        "work_waiting": tr("Waiting to be rendered"),
        "work_done": tr("The new rendering is shown."),
        "work_failed": tr("The repair could not be carried out: {why}"),
        "approved": tr("Approved."),
        "rejected": tr("Rejected."),
        "approved_by": tr("Approved by {name}."),
        "approved_in_part": tr("Approved by {name} ({n} of {of})."),
        "carried_over": tr("Carried over from the approval by {name}, after a recall."),
        "rejected_by": tr("Rejected by {name}."),
        "stage_rendered": stage(speech, "rendered"),
        "stage_approved": stage(speech, "approved"),
        "stage_delivered": stage(speech, "delivered"),
        "stage_wiped": stage(speech, "wiped"),
        "stage_removed": stage(speech, "removed"),
        "stage_deleted": stage(speech, "deleted"),
        "stage_outdated": stage(speech, "outdated"),
        "stage_rejected": kind(speech, "rejected"),
        "first_of_two": tr("Approved by you; a second person must approve as well."),
        "confirm_reject": tr("Reject this rendering?"),
        "draw_hint": tr("Draw a box around the head. Then choose how long it lasts."),
        "draw_keys": tr("Arrow keys move the box, with Shift they change its size; Enter is done, Escape stops."),
        "no_range": tr("Choose from where to where first (I and O)."),
        "choose_person": tr("Choose a person first: click a lane or a picture."),
        "join_hint": tr("Choose the other person."),
        "join_enter": tr("{person}? Enter says that they are the same person, Escape stops."),
        "choose": tr("Choose"),
        "undone_now": tr("Taken back: {repair}."),
        "newer": tr("A newer rendering came in meanwhile; watch it first."),
        "hidden_now": tr("{person} is hidden now: {range}."),
        "nobody_offered": tr("There is nobody whose consent is in force for this clip."),
        "not_looked_at": tr("Not every picture of the original came; moments of which you saw none stay hidden."),
        "outdated": tr("Somebody in this clip may not be shown any more. Run lesveil run again."),
        "recall": tr("Somebody in this clip may not be shown any more; lesveil recall makes it anew."),
        "gone": tr("The working copy is gone. This clip can be watched, not repaired."),
        "unknown": tr(
            "Nothing was kept of where people are. To repair this clip put its card in, then lesveil run makes it anew."
        ),
        "cannot_play": tr("This browser cannot play this film. Try Chrome, Edge or Firefox."),
        "quarter": tr("quarter speed"),
        "normal": tr("normal speed"),
    }
