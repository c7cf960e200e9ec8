"""Messages that change: updates, deletes, appends and annotations, over realtime and REST."""

import pytest
from ably import AblyException, Annotation, AnnotationAction, ChannelMode, ChannelOptions, MessageAction, MessageOperation
from ably.types.message import Message
from inbox import Inbox

CLIENTS = ["realtime", "rest"]


@pytest.fixture
def mutable(channel_name) -> str:
    return f"mutable:{channel_name}"


@pytest.fixture
def kept(rest, mutable):
    """The channel to read from: without TLS, a realtime client does not send its key over REST."""
    return rest().channels.get(mutable)


@pytest.fixture(params=CLIENTS)
async def writer(request, realtime, rest, mutable):
    """The channel, as a client over realtime and one over REST have it."""
    client = await realtime(client_id="ann") if request.param == "realtime" else rest(client_id="ann")
    return client.channels.get(mutable)


async def test_changes_are_acknowledged_delivered_and_kept(writer, kept, realtime, mutable):
    inbox = Inbox()
    reader = (await realtime()).channels.get(mutable)
    await reader.subscribe(inbox.take)
    [serial] = (await writer.publish("greeting", "helo")).serials
    why = MessageOperation(description="typo", metadata={"by": "ann"})
    updated = await writer.update_message(Message(serial=serial, data="hello"), why)
    appended = await writer.append_message(Message(serial=serial, data=" world"))
    assert serial < updated.version_serial < appended.version_serial
    await inbox.item(lambda item: item.action == MessageAction.MESSAGE_APPEND)
    created, update, append = inbox.items
    assert (created.action, update.action) == (MessageAction.MESSAGE_CREATE, MessageAction.MESSAGE_UPDATE)
    assert [item.data for item in inbox.items] == ["helo", "hello", " world"]
    assert {item.serial for item in inbox.items} == {serial}
    assert (update.version.description, update.version.metadata) == ("typo", {"by": "ann"})
    assert (update.version.serial, append.version.serial) == (updated.version_serial, appended.version_serial)

    latest = await kept.get_message(serial)
    assert (latest.name, latest.data, latest.action) == ("greeting", "hello world", MessageAction.MESSAGE_UPDATE)
    await writer.delete_message(Message(serial=serial, data=None))
    deleted = await inbox.item(lambda item: item.action == MessageAction.MESSAGE_DELETE)
    assert deleted.serial == serial
    page = await kept.get_message_versions(serial)
    assert [version.action for version in page.items] == [
        MessageAction.MESSAGE_CREATE,
        MessageAction.MESSAGE_UPDATE,
        MessageAction.MESSAGE_DELETE,
    ]


async def test_annotations_are_summarised_listed_and_taken_back(writer, kept, realtime, mutable):
    modes = [ChannelMode.PUBLISH, ChannelMode.SUBSCRIBE, ChannelMode.ANNOTATION_SUBSCRIBE]
    reader = (await realtime()).channels.get(mutable, ChannelOptions(modes=modes))
    messages, annotations = Inbox(), Inbox()
    await reader.subscribe(messages.take)
    await reader.annotations.subscribe(annotations.take)
    [serial] = (await writer.publish("cake", None)).serials
    vote = Annotation(type="vote:distinct.v1", name="yes")
    await writer.annotations.publish(serial, vote)
    given = await annotations.item(lambda item: item.action == AnnotationAction.ANNOTATION_CREATE)
    assert (given.type, given.name, given.client_id, given.message_serial) == ("vote:distinct.v1", "yes", "ann", serial)
    told = await messages.item(lambda item: item.action == MessageAction.MESSAGE_SUMMARY)
    assert told.annotations.summary["vote:distinct.v1"]["yes"]["clientIds"] == ["ann"]
    await writer.annotations.delete(serial, vote)
    await annotations.item(lambda item: item.action == AnnotationAction.ANNOTATION_DELETE)
    page = await kept.annotations.get(serial)
    assert [item.action for item in page.items] == [AnnotationAction.ANNOTATION_CREATE, AnnotationAction.ANNOTATION_DELETE]


async def test_a_change_where_messages_stay_as_they_are_is_refused_with_93002(realtime, channel_name):
    channel = (await realtime()).channels.get(channel_name)
    [serial] = (await channel.publish("x", None)).serials
    with pytest.raises(AblyException) as refusal:
        await channel.update_message(Message(serial=serial, data="y"))
    assert refusal.value.code == 93002


async def test_a_message_that_does_not_exist_is_not_found(kept):
    with pytest.raises(AblyException) as refusal:
        await kept.get_message("00000000001000-000@dunAAAAAAAAA:000")
    assert (refusal.value.code, refusal.value.status_code) == (40400, 404)
