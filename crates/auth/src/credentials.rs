//! Credentials as a client presents them, before anything is known about them: the header value
//! or the query parameters, decoded. Whether they are valid is `authenticate`'s question.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use types::ErrorInfo;
use types::error::INVALID_CREDENTIAL;

/// Longest credential that is looked at, in bytes (RSA4f).
const MAX_TEXT: usize = 128 << 10;

/// What a client presents.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// `appId.keyId:secret`
    Key(String),
    /// An opaque token or a JWT.
    Token(String),
}

impl Credentials {
    /// From the value of an `Authorization` header; 40005 if it cannot be read.
    pub fn from_header(value: &str) -> Result<Self, ErrorInfo> {
        let (scheme, text) = value.trim().split_once(' ').ok_or_else(unreadable)?;
        let text = text.trim_start();
        if text.is_empty() || text.len() > MAX_TEXT {
            return Err(unreadable());
        }
        if scheme.eq_ignore_ascii_case("basic") {
            decode(text).map(Self::Key)
        } else if scheme.eq_ignore_ascii_case("bearer") {
            // Every token has a dot, and no base64 does (RSA3b: encoding is optional).
            let token = if text.contains('.') { text.to_owned() } else { decode(text)? };
            Ok(Self::Token(token))
        } else {
            Err(unreadable())
        }
    }

    /// The app that they say they are for, as far as that can be read without verifying them: not
    /// from a JWT.
    pub fn claimed_app(&self) -> Option<&str> {
        match self {
            Self::Key(text) => text.split_once('.').map(|(app, _)| app),
            Self::Token(text) => {
                text.split_once('.').filter(|(_, rest)| !rest.contains('.')).map(|(app, _)| app)
            }
        }
    }

    /// From the parameters of a query, decoded: `key`, or `accessToken` or `access_token`. A token
    /// wins over a key; none if there is neither.
    pub fn from_query<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Option<Self>, ErrorInfo> {
        let mut found = None;
        for (name, value) in parameters {
            match name {
                "accessToken" | "access_token" => found = Some(Self::Token(value.to_owned())),
                "key" if found.is_none() => found = Some(Self::Key(value.to_owned())),
                _ => {}
            }
        }
        match &found {
            Some(Self::Key(text) | Self::Token(text))
                if text.is_empty() || text.len() > MAX_TEXT =>
            {
                Err(unreadable())
            }
            _ => Ok(found),
        }
    }
}

/// Says which kind, never the text.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key",
            Self::Token(_) => "Token",
        })
    }
}

/// The public name of a key, `appId.keyId`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyName<'a> {
    pub app_id: &'a str,
    pub key_id: &'a str,
}

impl<'a> KeyName<'a> {
    pub fn parse(text: &'a str) -> Result<Self, ErrorInfo> {
        let (app_id, key_id) = text.split_once('.').ok_or_else(unreadable)?;
        if app_id.is_empty() || key_id.is_empty() || text.contains(':') {
            return Err(unreadable());
        }
        Ok(Self { app_id, key_id })
    }
}

fn decode(text: &str) -> Result<String, ErrorInfo> {
    let bytes = STANDARD_PAD_INDIFFERENT.decode(text).map_err(|_base64| unreadable())?;
    String::from_utf8(bytes).map_err(|_utf8| unreadable())
}

fn unreadable() -> ErrorInfo {
    INVALID_CREDENTIAL.info()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_give_keys_and_tokens() {
        let key = Credentials::Key("app.key:secret".into());
        let token = |text: &str| Credentials::Token(text.into());
        let cases = [
            ("Basic YXBwLmtleTpzZWNyZXQ=", key.clone()),
            ("basic  YXBwLmtleTpzZWNyZXQ", key),
            ("Bearer YXBwLnRva2Vu", token("app.token")),
            ("Bearer eyJ.eyJ.sig", token("eyJ.eyJ.sig")),
        ];
        for (header, credentials) in cases {
            assert!(Credentials::from_header(header).unwrap() == credentials, "{header}");
        }
    }

    #[test]
    fn unreadable_headers_are_refused_with_40005() {
        let long = format!("Bearer {}", "a.".repeat(MAX_TEXT));
        for header in
            ["", "Basic", "Basic ", "Basic !", "Basic /w==", "Bearer ü", "Digest YQ==", &long]
        {
            let error = Credentials::from_header(header).unwrap_err();
            assert_eq!((error.code, error.status), (40005, 400), "{header:.40}");
        }
    }

    #[test]
    fn queries_give_a_token_before_a_key() {
        let query = |parameters: &[(&'static str, &'static str)]| {
            Credentials::from_query(parameters.iter().copied())
        };
        assert!(query(&[("v", "6")]).unwrap().is_none());
        assert!(query(&[("key", "a.b:c")]).unwrap() == Some(Credentials::Key("a.b:c".into())));
        for name in ["accessToken", "access_token"] {
            let token = Some(Credentials::Token("t".into()));
            assert!(query(&[(name, "t"), ("key", "a.b:c")]).unwrap() == token);
            assert!(query(&[("key", "a.b:c"), (name, "t")]).unwrap() == token);
        }
        assert_eq!(query(&[("key", "")]).unwrap_err().code, 40005);
    }

    #[test]
    fn key_names_have_an_app_and_a_key() {
        assert_eq!(KeyName::parse("this.is").unwrap(), KeyName { app_id: "this", key_id: "is" });
        for text in ["", "a", ".b", "a.", "a.b:c"] {
            assert_eq!(KeyName::parse(text).unwrap_err().code, 40005, "{text}");
        }
    }

    #[test]
    fn debug_output_has_no_secret() {
        assert_eq!(format!("{:?}", Credentials::Key("a.b:secret".into())), "Key");
        assert_eq!(format!("{:?}", Credentials::Token("secret".into())), "Token");
    }
}
