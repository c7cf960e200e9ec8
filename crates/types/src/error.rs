//! The one table of errors that clients can receive: code, HTTP status, meaning, and what a client
//! should do. Codes and statuses are the protocol's; the meanings are in our own words.

use std::borrow::Cow;
use std::fmt;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode {
    pub code: u32,
    pub status: u16,
    pub meaning: &'static str,
    pub advice: &'static str,
}

impl ErrorCode {
    /// This error with its general meaning as the message.
    pub fn info(self) -> ErrorInfo {
        ErrorInfo { code: self.code, status: self.status, message: self.meaning.into() }
    }

    /// This error with a message about this occurrence.
    pub fn with(self, message: impl Into<Cow<'static, str>>) -> ErrorInfo {
        ErrorInfo { code: self.code, status: self.status, message: message.into() }
    }
}

/// An error as clients receive it (TI1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorInfo {
    pub code: u32,
    pub status: u16,
    pub message: Cow<'static, str>,
}

impl ErrorInfo {
    /// Whether the credentials are at fault in a way that a new token mends (RSA4b).
    pub fn is_token_error(&self) -> bool {
        (40140..40150).contains(&self.code)
    }
}

impl fmt::Display for ErrorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for ErrorInfo {}

macro_rules! errors {
    ($($name:ident = $code:literal, $status:literal, $meaning:literal, $advice:literal;)*) => {
        $(
            #[doc = $meaning]
            pub const $name: ErrorCode =
                ErrorCode { code: $code, status: $status, meaning: $meaning, advice: $advice };
        )*

        /// Every error of the table, in the order of codes.
        pub const TABLE: &[ErrorCode] = &[$($name),*];
    };
}

errors! {
    BAD_REQUEST = 40000, 400, "bad request", "correct the request";
    INVALID_BODY = 40001, 400, "invalid request body", "correct the body";
    INVALID_PARAM = 40003, 400, "invalid parameter value", "correct the parameter";
    INVALID_CREDENTIAL = 40005, 400, "unparseable key or token", "correct the credentials";
    INVALID_CONNECTION_KEY = 40006, 400, "invalid connection id or key in a message", "use the key of a live connection";
    TOO_LARGE = 40009, 413, "message too large", "publish less at once";
    INVALID_CHANNEL_NAME = 40010, 400, "invalid channel name", "correct the name";
    INVALID_CLIENT_ID = 40012, 400, "clientId not acceptable", "use the clientId of the credentials";
    INVALID_DATA = 40013, 400, "data or encoding not supported", "publish text, binary or JSON";
    INVALID_DEVICE_ID = 40015, 400, "invalid device id", "give the device's id as a text";
    UNSUPPORTED_VERSION = 40017, 400, "protocol version missing or not supported", "use a current client library";
    BATCH_FAILED = 40020, 400, "batch request with failures", "see the error of each part";
    INVALID_PUBLISH = 40030, 400, "invalid publish request", "correct the request";
    INVALID_MESSAGE_ID = 40031, 400, "invalid message id", "give every message of a publish an id <base>:<index>";
    INVALID_EXTRAS = 40032, 400, "invalid extras", "correct the extras";
    TOO_MANY_MESSAGES = 40034, 400, "too many messages in one request", "publish less at once";
    FORCED_NACK = 40099, 400, "refused on request of the publisher", "leave out _forceNack";
    UNAUTHORIZED = 40100, 401, "unauthorized", "give credentials";
    INVALID_CREDENTIALS = 40101, 401, "invalid credentials", "correct the credentials";
    INCOMPATIBLE_CREDENTIALS = 40102, 401, "incompatible credentials", "connect anew with these credentials";
    TIMESTAMP_NOT_CURRENT = 40104, 401, "token request timestamp not current", "set the clock, or query the server's time";
    NONCE_REPLAYED = 40105, 401, "token request nonce used before", "sign a new token request";
    MESSAGE_QUOTA = 40112, 401, "message quota of the application used up", "wait for the next hour or month, or raise the limit";
    APP_DISABLED = 40120, 401, "application disabled", "ask the operator";
    NAMESPACE_LIMIT = 40126, 401, "too many namespaces", "use fewer, or raise the limit";
    KEY_LIMIT = 40127, 401, "too many keys", "use fewer, or raise the limit";
    APP_LIMIT = 40128, 401, "too many applications", "use fewer, or raise the limit";
    KEY_UNKNOWN = 40130, 401, "key unknown", "correct the key";
    KEY_REVOKED = 40131, 401, "key revoked", "use another key, or a token of another key";
    KEY_EXPIRED = 40132, 401, "key expired", "use another key, or a token of another key";
    WRONG_REVOCATION_KEY = 40133, 401, "tokens of another key cannot be revoked", "use the key that issued the tokens";
    TOKEN_ERROR = 40140, 401, "token error", "obtain a new token";
    TOKEN_REVOKED = 40141, 401, "token revoked", "obtain a new token";
    TOKEN_EXPIRED = 40142, 401, "token expired", "obtain a new token";
    TOKEN_UNRECOGNIZED = 40143, 401, "token unrecognised", "obtain a new token";
    INVALID_JWT = 40144, 401, "invalid JWT", "sign the JWT with the key that its kid names";
    INVALID_TOKEN = 40145, 401, "invalid token", "obtain a new token";
    CONNECTION_LIMIT = 40150, 403, "application connection limit exceeded", "close connections, or raise the limit";
    CAPABILITY_MISSING = 40160, 401, "operation not permitted with these credentials", "use credentials with the capability";
    IDENTIFIED_CLIENT_REQUIRED = 40161, 401, "channel needs an identified client", "connect with a clientId";
    BASIC_AUTH_REQUIRED = 40162, 401, "operation needs a key", "use Basic authentication";
    REVOCATION_DISABLED = 40163, 401, "the tokens of this key cannot be revoked", "allow revocable tokens for the key";
    MODE_MISSING = 40165, 401, "channel mode not requested", "attach with the mode";
    OWN_NEEDS_IDENTITY = 40166, 401, "only own messages may be changed, and anonymous clients have none", "connect with a clientId";
    REQUEST_QUOTA = 40115, 403, "request quota of the application used up", "wait for the next hour, or raise the limit";
    UNTRUSTED_CLIENT_TYPE = 40167, 401, "the token does not say that its client is a server", "sign the claim x-ably-clientType into the token";
    CHANNEL_LIMIT = 40114, 403, "channel limit exceeded", "use fewer channels, or raise the limit";
    FORBIDDEN = 40300, 403, "forbidden", "use other credentials";
    TLS_REQUIRED = 40311, 403, "operation needs TLS", "connect with TLS";
    NOT_FOUND = 40400, 404, "not found", "correct the path or id";
    METHOD_NOT_ALLOWED = 40500, 405, "method not allowed", "use a method that the resource has";
    RATE_LIMIT = 42910, 429, "rate limit exceeded", "retry later, with jitter";
    CONNECTION_RATE_LIMIT = 42911, 429, "publish rate limit of the connection exceeded", "publish slower";
    CHANNEL_RATE_LIMIT = 42913, 429, "message rate limit of the channel exceeded", "publish slower";
    CHANNEL_BYTES_LIMIT = 42914, 429, "byte rate limit of the channel exceeded", "publish less";
    OUTBOUND_RATE_LIMIT = 42915, 429, "outbound rate limit of the connection exceeded", "subscribe to less with one connection";
    APP_RATE_LIMIT = 42917, 429, "message rate limit of the application exceeded", "publish slower";
    REQUEST_RATE_LIMIT = 42918, 429, "request rate limit exceeded", "retry later, with jitter";
    FATAL_RATE_LIMIT = 42920, 429, "rate limit exceeded; connection closed", "publish slower";
    FATAL_PUBLISH_RATE = 42921, 429, "publish rate far beyond the limit; connection closed", "publish slower";
    FATAL_FRAME_RATE = 42924, 429, "too many frames per second; connection closed", "send slower";
    PUSH_RATE_LIMIT = 42926, 429, "push notification rate limit exceeded", "push slower";
    INTERNAL = 50000, 500, "internal error", "retry";
    TIMEOUT = 50003, 500, "timed out; the outcome is unknown", "retry with the same id";
    OVERLOADED = 50004, 503, "server overloaded", "retry later, with jitter";
    DEVICE_OF_OTHER_CLIENT = 61002, 400, "the device is registered for another clientId", "deactivate push on the device, then activate it again";
    CONNECTION_SUPERSEDED = 80016, 410, "another transport took over the connection", "use the newer transport";
    CONNECTION_CLOSED = 80017, 400, "connection closed", "connect anew";
    RESUME_FAILED = 80008, 400, "connection state expired", "continue with the new connection id";
    PROTOCOL_ERROR = 80013, 400, "protocol error", "use a current client library";
    INVALID_RESUME_KEY = 80018, 400, "invalid connection key", "continue with the new connection id";
    CONTINUITY_LOST = 80020, 400, "continuity lost: messages could not be delivered in time", "read history";
    CONNECTION_NOT_FOUND = 80022, 410, "connection not found here", "reconnect";
    CONNECTION_CREATION_RATE = 80021, 429, "connection rate limit exceeded", "retry later, with jitter";
    SERVER_LEAVING = 80003, 503, "server is going away", "reconnect";
    VERSION_RETIRED = 80024, 400, "protocol version retired", "use a current client library";
    RESTRICTED = 80030, 403, "the key may not be used from here", "connect from an address and a web page that the key allows";
    CHANNEL_FAILED = 90000, 400, "channel operation failed", "correct the operation";
    CHANNEL_STATE = 90001, 400, "channel operation failed: not attached", "attach first";
    INVALID_HISTORY_POSITION = 90002, 400, "invalid position in the channel", "use a serial of this channel";
    RESUME_EXPIRED = 90003, 404, "position no longer available", "read history for what was missed";
    RESUME_TOO_LARGE = 90004, 404, "too many messages since the position", "read history for what was missed";
    ATTACH_POINT_GONE = 90008, 400, "attach point no longer available", "attach anew";
    CHANNELS_PER_CONNECTION = 90010, 400, "too many channels on this connection", "detach channels";
    CHANNEL_CREATION_RATE = 90021, 429, "channel creation rate limit exceeded", "retry later, with jitter";
    PRESENCE_NO_CLIENT_ID = 91000, 400, "presence needs a clientId", "connect with a clientId";
    PRESENCE_NOT_ATTACHED = 91001, 400, "presence needs an attached channel", "attach first";
    PRESENCE_MEMBER_LIMIT = 91003, 400, "too many presence members", "raise the limit";
    PRESENCE_DATA_LIMIT = 91006, 400, "presence data too large", "use less data per member";
    MUTABLE_MESSAGES_OFF = 93002, 400, "updates, deletes, appends and annotations are not enabled for this channel", "set mutableMessages for the namespace";
    CONNECTION_LEFT = 91100, 400, "connection of the member was lost", "none";
    OBJECT_INVALID = 92000, 400, "invalid object operation", "correct the operation";
    OBJECTS_TOO_LARGE = 92001, 400, "objects of the channel too large", "remove what is not needed, or raise the limit";
    OBJECT_DELETED = 92002, 400, "the object was deleted", "create another object";
    OBJECT_ROOT_DELETED = 92003, 400, "the object at the root of what was asked for was deleted", "ask for another object";
    OBJECT_NOT_FOUND = 92004, 404, "no such object", "create the object first";
    OBJECT_PATH_NOT_FOUND = 92005, 404, "nothing at this path", "correct the path";
    OBJECT_UNNAMED = 92006, 400, "neither objectId nor path", "name the object by id or by path";
    OBJECT_NOT_PROCESSABLE = 92007, 400, "the object cannot take this operation", "use an operation of the object's kind";
    PUSH_NOT_CONFIGURED = 103_006, 400, "push transport not configured", "configure the provider of the device";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_table_once() {
        let mut codes: Vec<u32> = TABLE.iter().map(|error| error.code).collect();
        codes.sort_unstable();
        assert!(codes.is_sorted_by(|a, b| a < b));
    }
}
