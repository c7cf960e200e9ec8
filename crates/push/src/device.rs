//! A device that is registered (PCD2, PCP2).

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use types::{ClientId, DeviceId, ErrorInfo};

use crate::Recipient;

macro_rules! names {
    ($(#[$doc:meta])* $kind:ident { $($(#[$note:meta])* $variant:ident = $name:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $kind { $($(#[$note])* $variant),* }

        impl $kind {
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// None unless `name` is one of the names, in upper or lower case.
            pub fn from_name(name: &str) -> Option<Self> {
                [$(Self::$variant),*].into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
            }
        }
    };
}

names!(
    /// PCD6
    Platform { Android = "android", Ios = "ios", Browser = "browser" }
);
names!(
    /// PCD4
    FormFactor {
        Phone = "phone",
        Tablet = "tablet",
        Desktop = "desktop",
        Tv = "tv",
        Watch = "watch",
        Car = "car",
        Embedded = "embedded",
        Other = "other",
    }
);
names!(
    /// Whether notifications reach the device (PCP4).
    State {
        Active = "ACTIVE",
        /// The last one did not.
        Failing = "FAILING",
        /// Its address is void: it receives nothing until it registers another.
        Failed = "FAILED",
    }
);

#[derive(Clone, PartialEq)]
pub struct Device {
    pub id: DeviceId,
    pub client_id: Option<ClientId>,
    pub platform: Platform,
    pub form_factor: FormFactor,
    pub metadata: Arc<Map<String, Value>>,
    /// What the device proves its identity with before it has an identity token.
    pub secret: Option<Arc<str>>,
    pub recipient: Recipient,
    pub state: State,
    /// Why the state is not active (PCP2).
    pub error: Option<ErrorInfo>,
    /// Names the identity tokens of the device that are valid: all that were issued since this was
    /// drawn.
    pub tokens: Arc<str>,
}

impl Device {
    /// Another address, which nothing is known about yet.
    pub fn move_to(&mut self, recipient: Recipient) {
        self.recipient = recipient;
        self.state = State::Active;
        self.error = None;
    }
}

/// Addresses and secrets are not for logs.
impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("id", &self.id)
            .field("client_id", &self.client_id)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
