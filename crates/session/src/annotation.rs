//! ANNOTATION from a client: what is checked before the channel's host sees it. Annotations by REST
//! pass the same checks.

use std::sync::Arc;

use auth::{Operation, Principal};
use channel::Method;
use protocol::{ProtocolMessage, flags};
use types::error::{self, ErrorInfo};
use types::{
    Annotation, AnnotationAction, App, AppLimits, Body, ChannelName, ChannelRef, ItemPosition,
};

use crate::extras::{self, check_privileged};
use crate::publish::{Checked, check_labels, check_size, named_id};
use crate::session::Session;
use crate::{Context, Draft};

/// Most that one annotation counts for.
const MAX_COUNT: u32 = 1_000_000;

/// Longest type or name, in bytes.
const MAX_TEXT: usize = 512;

/// Checks annotations as `principal` would publish them and fills in an implied clientId. Returns
/// the id under which the client wants the publish to be accepted once, if it gave one.
pub fn check_annotations(
    principal: &Principal,
    limits: &AppLimits,
    annotations: &mut [Annotation],
) -> Result<Option<Arc<str>>, ErrorInfo> {
    let Some(first) = annotations.first() else {
        return Err(error::INVALID_PUBLISH.with("a publish needs at least one annotation"));
    };
    let serial = first.message_serial.clone().unwrap_or_default();
    let Ok(key) = serial.parse::<ItemPosition>() else {
        return Err(error::INVALID_PARAM.with("messageSerial names no message"));
    };
    if annotations.iter().any(|annotation| annotation.message_serial.as_ref() != Some(&serial)) {
        return Err(error::INVALID_PUBLISH.with("annotations of one publish are of one message"));
    }
    check_size(annotations.iter().map(Annotation::size).sum(), limits)?;
    for annotation in annotations.iter_mut() {
        annotation.client_id = principal.check_client_id(annotation.client_id.as_ref())?;
        annotation.extras = annotation.extras.take().map(extras::checked).transpose()?;
        annotation.message_serial = Some(key.to_string().into());
        annotation.serial = None;
        annotation.timestamp = None;
        check_labels(annotation.id.as_deref(), annotation.encoding.as_deref())?;
        check_annotation(annotation)?;
    }
    named_id(annotations.iter().map(|item| item.id.as_deref()))
}

fn check_annotation(annotation: &Annotation) -> Result<(), ErrorInfo> {
    let name = annotation.name.as_deref().unwrap_or_default();
    if annotation.kind.is_empty() || annotation.kind.len().max(name.len()) > MAX_TEXT {
        return Err(error::INVALID_PARAM.with("type missing, or type or name too long"));
    }
    if annotation.count.is_some_and(|count| count == 0 || count > MAX_COUNT) {
        return Err(error::INVALID_PARAM.with(format!("count must be 1 to {MAX_COUNT}")));
    }
    let deletes = annotation.action == AnnotationAction::Delete;
    let (needs_name, needs_client) = match Method::of(&annotation.kind) {
        None | Some(Method::Total) => (false, false),
        Some(Method::Flag) => (false, true),
        Some(Method::Distinct) => (true, true),
        Some(Method::Unique) => (!deletes, true),
        Some(Method::Multiple) => (true, deletes),
    };
    if needs_name && name.is_empty() {
        return Err(error::INVALID_PARAM.with("annotations of this type need a name"));
    }
    if needs_client && annotation.client_id.is_none() {
        return Err(error::IDENTIFIED_CLIENT_REQUIRED
            .with("annotations of this type need an identified client"));
    }
    Ok(())
}

impl Session {
    pub(crate) fn handle_annotation(
        &mut self,
        ctx: &mut Context<'_>,
        frame: &mut ProtocolMessage,
    ) -> Option<Draft> {
        let count = u32::try_from(frame.annotations.len()).unwrap_or(u32::MAX);
        self.handle_publish(ctx, frame, count, |session, ctx, frame| {
            session.check_annotation_frame(ctx, frame)
        })
    }

    fn check_annotation_frame(&self, ctx: &Context<'_>, frame: &mut ProtocolMessage) -> Checked {
        let channel = ChannelRef::parse(frame.channel.take().unwrap_or_default())?;
        self.check_channel(ctx, &channel)?;
        if channel.filter.is_some() {
            return Err(error::INVALID_CHANNEL_NAME.with("a derived channel has no annotations"));
        }
        if !self.principal.capability.permits(channel.name.as_str(), Operation::AnnotationPublish) {
            return Err(error::CAPABILITY_MISSING.info());
        }
        let attachment = self.attachments.get(&channel.requested);
        if attachment.is_some_and(|known| known.modes & flags::ANNOTATION_PUBLISH == 0) {
            return Err(error::MODE_MISSING.info());
        }
        let extras = frame.annotations.iter().map(|annotation| &annotation.extras);
        check_privileged(&self.principal, &channel.name, extras)?;
        check_mutable(ctx.app, &channel.name)?;
        let named = check_annotations(&self.principal, &ctx.app.limits, &mut frame.annotations)?;
        let id = self.entry_id(named, frame.msg_serial);
        Ok((channel.name, id, Body::Annotations(std::mem::take(&mut frame.annotations))))
    }
}

/// Whether messages of the channel may be changed and annotated (93002).
pub fn check_mutable(app: &App, channel: &ChannelName) -> Result<(), ErrorInfo> {
    if app.is_mutable(channel) { Ok(()) } else { Err(error::MUTABLE_MESSAGES_OFF.info()) }
}
