//! From credentials to a principal: keys, opaque tokens, JWTs.
//!
//! Codes that depend on where a client presents its credentials (`Place`):
//!
//! | | connecting | REST |
//! | --- | --- | --- |
//! | unknown app, key presented | 401, 40101 | 401, 40101 |
//! | unknown app, token or JWT | 401, 40101 | 404, 40400 |
//! | unknown key of a known app | 401, 40101 | 401, 40400 |

use std::sync::Arc;

use aws_lc_rs::constant_time;
use types::error::{INTERNAL, INVALID_CREDENTIAL, INVALID_CREDENTIALS, NOT_FOUND, TOKEN_EXPIRED};
use types::{App, ErrorInfo, Key, Timestamp};

use crate::jwt::Jwt;
use crate::token_request::MAX_REVOCABLE_TTL;
use crate::{
    Capability, ClientPolicy, ClientType, Credentials, KeyName, Method, Principal, SealingKey,
    restriction, token,
};

/// Where credentials are presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Connecting, or AUTH on a connection.
    Connect,
    Rest,
}

/// Who presents `credentials`, wanting to be `requested_client_id`. `apps` finds an app by its id.
pub fn authenticate(
    apps: &impl Fn(&str) -> Option<Arc<App>>,
    secret: &SealingKey,
    credentials: &Credentials,
    requested_client_id: Option<&str>,
    place: Place,
    now: Timestamp,
) -> Result<Principal, ErrorInfo> {
    let directory = Directory { apps, place, now };
    let principal = match credentials {
        Credentials::Key(text) => by_key(&directory, text),
        Credentials::Token(text) => match text.bytes().filter(|byte| *byte == b'.').count() {
            1 => by_token(&directory, secret, text, now),
            2 | 4 => by_jwt(&directory, secret, text, now),
            _ => Err(INVALID_CREDENTIAL.with("neither a token nor a JWT")),
        },
    }
    .map_err(|error| match place {
        Place::Connect if error.code == INVALID_CREDENTIAL.code => {
            INVALID_CREDENTIALS.with(error.message)
        }
        Place::Connect | Place::Rest => error,
    })?;
    principal.identified_as(requested_client_id)
}

/// The apps, and the codes of what is not among them.
struct Directory<'a, F> {
    apps: &'a F,
    place: Place,
    now: Timestamp,
}

impl<F: Fn(&str) -> Option<Arc<App>>> Directory<'_, F> {
    fn find(&self, name: KeyName<'_>, method: Method) -> Result<(Arc<App>, Key), ErrorInfo> {
        let app = (self.apps)(name.app_id).ok_or_else(|| match (self.place, method) {
            (Place::Connect, _) | (_, Method::Basic) => INVALID_CREDENTIALS.info(),
            (Place::Rest, Method::Token | Method::Jwt) => NOT_FOUND.with("no such application"),
        })?;
        let key = app.key(name.key_id).cloned().ok_or_else(|| match self.place {
            Place::Connect => INVALID_CREDENTIALS.info(),
            Place::Rest => no_such_key(),
        })?;
        restriction::check_key(&key, self.now)?;
        Ok((app, key))
    }
}

fn by_key<F: Fn(&str) -> Option<Arc<App>>>(
    directory: &Directory<'_, F>,
    text: &str,
) -> Result<Principal, ErrorInfo> {
    let (name, secret) = text.split_once(':').ok_or_else(|| INVALID_CREDENTIAL.info())?;
    let (app, key) = directory.find(KeyName::parse(name)?, Method::Basic)?;
    constant_time::verify_slices_are_equal(key.secret.as_bytes(), secret.as_bytes())
        .map_err(|_unspecified| INVALID_CREDENTIALS.info())?;
    Ok(Principal {
        app_id: app.id.clone(),
        capability: Arc::new(capability_of(&key)?),
        key_id: Arc::clone(&key.id),
        client: ClientPolicy::Any,
        revocation_key: None,
        claims: Arc::default(),
        client_type: ClientType::Server,
        method: Method::Basic,
        issued: None,
        expires: key.restrictions.expires,
        revoked_at: None,
    })
}

fn by_token<F: Fn(&str) -> Option<Arc<App>>>(
    directory: &Directory<'_, F>,
    secret: &SealingKey,
    text: &str,
    now: Timestamp,
) -> Result<Principal, ErrorInfo> {
    let (app_id, claims) = token::open(text, secret, now)?;
    let name = KeyName { app_id, key_id: &claims.key_id };
    let (app, key) = directory.find(name, Method::Token)?;
    Ok(Principal {
        app_id: app.id.clone(),
        capability: narrowed(&key, Some(&claims.capability))?,
        key_id: Arc::clone(&key.id),
        client: claims.client,
        revocation_key: None,
        claims: Arc::default(),
        client_type: ClientType::Device,
        method: Method::Token,
        issued: Some(claims.issued),
        expires: soonest(claims.expires, &key),
        revoked_at: None,
    })
}

fn by_jwt<F: Fn(&str) -> Option<Arc<App>>>(
    directory: &Directory<'_, F>,
    secret: &SealingKey,
    text: &str,
    now: Timestamp,
) -> Result<Principal, ErrorInfo> {
    let signed = match Jwt::parse(text)? {
        Jwt::Signed(signed) => signed,
        Jwt::Around { token, expires } => {
            return by_enclosed_token(directory, secret, &token, expires, now);
        }
    };
    let (app, key) = directory.find(signed.key_name()?, Method::Jwt)?;
    let proven = signed.verify(&key.secret, now)?;
    let expires = lifetime(&key, proven.issued, proven.expires);
    if expires <= now {
        return Err(TOKEN_EXPIRED.info());
    }
    Ok(Principal {
        app_id: app.id.clone(),
        capability: narrowed(&key, proven.capability.as_deref())?,
        key_id: Arc::clone(&key.id),
        client: proven.client,
        revocation_key: proven.revocation_key,
        claims: Arc::new(proven.claims),
        client_type: proven.client_type,
        method: Method::Jwt,
        issued: Some(proven.issued),
        expires: soonest(expires, &key),
        revoked_at: None,
    })
}

fn by_enclosed_token<F: Fn(&str) -> Option<Arc<App>>>(
    directory: &Directory<'_, F>,
    secret: &SealingKey,
    token: &str,
    outer_expires: Option<Timestamp>,
    now: Timestamp,
) -> Result<Principal, ErrorInfo> {
    if outer_expires.is_some_and(|expires| expires <= now) {
        return Err(TOKEN_EXPIRED.info());
    }
    let mut principal = by_token(directory, secret, token, now)?;
    principal.expires = principal.expires.into_iter().chain(outer_expires).min();
    Ok(principal)
}

/// When a token ends that expires at `expires`, and not after its key.
fn soonest(expires: Timestamp, key: &Key) -> Option<Timestamp> {
    key.restrictions.expires.into_iter().chain([expires]).min()
}

/// A JWT that can be revoked lives no longer than revocations are remembered.
fn lifetime(key: &Key, issued: Timestamp, expires: Timestamp) -> Timestamp {
    if key.revocable_tokens { expires.min(issued.plus(MAX_REVOCABLE_TTL)) } else { expires }
}

/// The answer of REST for an unknown key of a known app: 40400, but as a 401.
pub(crate) fn no_such_key() -> ErrorInfo {
    ErrorInfo { status: INVALID_CREDENTIALS.status, ..NOT_FOUND.with("no such key") }
}

fn capability_of(key: &Key) -> Result<Capability, ErrorInfo> {
    Capability::parse(&key.capability)
        .map_err(|error| INTERNAL.with(format!("the key's configuration: {}", error.message)))
}

/// What `requested` and the key allow now; all of the key's if nothing in particular is requested.
fn narrowed(key: &Key, requested: Option<&str>) -> Result<Arc<Capability>, ErrorInfo> {
    let own = capability_of(key)?;
    let narrowed = match requested {
        None => own,
        Some(requested) => Capability::parse(requested)?.intersect(&own)?,
    };
    Ok(Arc::new(narrowed))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{NOW, app, apps, jwt, rng, secret};
    use crate::{Grant, Operation, issue};

    /// Made with openssl: key `all`, clientId `bob`, publish on `a`, one hour from `NOW`.
    const GOLDEN_JWT: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImtpZCI6ImFwcC5hbGwifQ.\
        eyJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMzYwMCwieC1hYmx5LWNhcGFiaWxpdHkiOiJ7XCJhXCI6W1wicHV\
        ibGlzaFwiXX0iLCJ4LWFibHktY2xpZW50SWQiOiJib2IifQ.qqpfdXoSq4Al2-uKvzkvyQ9Dkql2QbR2Gmd5OpJVFGI";
    const HS256: &str = r#"{"alg":"HS256","kid":"app.all"}"#;
    const HOUR: &str = r#"{"iat":1700000000,"exp":1700003600}"#;

    fn at(credentials: &Credentials, place: Place, now: Timestamp) -> Result<Principal, ErrorInfo> {
        authenticate(&apps, &secret(), credentials, None, place, now)
    }

    fn rest(credentials: &Credentials) -> Result<Principal, ErrorInfo> {
        at(credentials, Place::Rest, NOW)
    }

    fn key(text: &str) -> Credentials {
        Credentials::Key(text.into())
    }

    fn token(text: &str) -> Credentials {
        Credentials::Token(text.into())
    }

    fn issued(capability: &str, client: ClientPolicy) -> String {
        let grant = Grant {
            app_id: "app".into(),
            key_id: "some".into(),
            client,
            capability: Capability::parse(capability).unwrap(),
            ttl: Duration::from_mins(60),
        };
        issue(&grant, &secret(), NOW, &mut rng()).token
    }

    #[test]
    fn a_key_is_any_client_with_the_capability_of_the_key() {
        let principal = rest(&key("app.some:secret of some")).unwrap();
        assert_eq!((principal.app_id.as_str(), principal.key_id.as_ref()), ("app", "some"));
        assert_eq!((principal.client, principal.method), (ClientPolicy::Any, Method::Basic));
        assert_eq!((principal.issued, principal.expires), (None, None));
        assert_eq!(principal.capability.to_string(), r#"{"a":["publish"],"b:*":["subscribe"]}"#);
    }

    #[test]
    fn a_token_is_the_client_that_it_was_issued_for() {
        let text = issued(r#"{"a":["*"]}"#, ClientPolicy::Fixed("bob".into()));
        let principal = rest(&token(&text)).unwrap();
        assert_eq!(principal.client_id_for_connection(), Some("bob"));
        assert_eq!((principal.key_id.as_ref(), principal.method), ("some", Method::Token));
        assert_eq!(principal.issued, Some(NOW));
        assert_eq!(principal.expires, Some(NOW.plus(Duration::from_mins(60))));
    }

    #[test]
    fn a_token_has_no_more_than_its_key_has_now() {
        let text = issued(r#"{"a":["*"],"c":["*"]}"#, ClientPolicy::Any);
        let principal = rest(&token(&text)).unwrap();
        assert_eq!(principal.capability.to_string(), r#"{"a":["publish"]}"#);
        let text = issued(r#"{"c":["*"]}"#, ClientPolicy::Any);
        assert_eq!(rest(&token(&text)).unwrap_err().code, 40160);
    }

    #[test]
    fn a_jwt_that_another_program_signed_is_accepted() {
        let principal = rest(&token(GOLDEN_JWT)).unwrap();
        assert_eq!(principal.client_id_for_connection(), Some("bob"));
        assert_eq!((principal.key_id.as_ref(), principal.method), ("all", Method::Jwt));
        assert!(principal.capability.permits("a", Operation::Publish));
        assert!(!principal.capability.permits("b", Operation::Publish));
        assert_eq!(principal.expires, Some(Timestamp(1_700_003_600_000)));
    }

    #[test]
    fn a_jwt_without_claims_has_the_capability_of_its_key_and_no_client_id() {
        let fractions = r#"{"iat":1700000000.5,"exp":1700003600.25,"x-ably-clientId":null}"#;
        let principal = rest(&token(&jwt(HS256, fractions))).unwrap();
        assert_eq!(principal.capability.to_string(), r#"{"*":["*"]}"#);
        assert_eq!(principal.client, ClientPolicy::Anonymous);
        assert_eq!(principal.expires, Some(Timestamp(1_700_003_600_250)));
    }

    #[test]
    fn a_jwt_whose_header_chooses_another_algorithm_is_refused_with_40144() {
        for alg in [r#""none""#, r#""RS256""#, r#""HS512""#, r#""hs256""#, "null", "1"] {
            let text = jwt(&format!(r#"{{"alg":{alg},"kid":"app.all"}}"#), HOUR);
            let unsigned = format!("{}.", text.rsplit_once('.').unwrap().0);
            for text in [text, unsigned] {
                assert_eq!(rest(&token(&text)).unwrap_err().code, 40144, "{alg}");
            }
        }
    }

    #[test]
    fn jwts_that_do_not_hold_are_refused() {
        let (good, header) = (jwt(HS256, HOUR), GOLDEN_JWT.split('.').next().unwrap());
        let cases = [
            (good.replace(".", ".x"), 40144),
            (format!("{good}x"), 40144),
            (format!("{}.", good.rsplit_once('.').unwrap().0), 40144),
            (format!("{header}.{}", good.split_once('.').unwrap().1), 40144),
            ("..".into(), 40144),
            ("a.b.c".into(), 40144),
            ("....".into(), 40144),
            (jwt(r#"{"alg":"HS256"}"#, HOUR), 40144),
            (jwt(r#"{"alg":"HS256","kid":"app.all","crit":["b64"]}"#, HOUR), 40144),
            (jwt(r#"{"alg":"HS256","kid":"app.some"}"#, HOUR), 40144),
            (jwt(r#"{"alg":"HS256","kid":"app"}"#, HOUR), 40144),
            (jwt(HS256, "{}"), 40144),
            (jwt(HS256, r#"{"iat":1700000000}"#), 40144),
            (jwt(HS256, r#"{"exp":1700003600}"#), 40144),
            (jwt(HS256, r#"{"iat":1700000121,"exp":1700003600}"#), 40144),
            (jwt(HS256, r#"{"iat":1699990000,"exp":1700000000}"#), 40142),
            (jwt(HS256, r#"{"iat":1699990000,"exp":-1}"#), 40142),
            (jwt(HS256, r#"{"iat":1700000000,"exp":1700003600,"x-ably-clientId":""}"#), 40012),
            (jwt(HS256, r#"{"iat":1700000000,"exp":1700003600,"x-ably-clientId":1}"#), 40012),
            (jwt(HS256, r#"{"iat":1700000000,"exp":1700003600,"x-ably-capability":"x"}"#), 40000),
        ];
        for (text, code) in cases {
            assert_eq!(rest(&token(&text)).unwrap_err().code, code, "{text}");
        }
        assert!(rest(&token(&jwt(HS256, r#"{"iat":1700000120,"exp":1700003600}"#))).is_ok());
    }

    #[test]
    fn a_jwt_around_a_token_is_worth_what_the_token_is_worth() {
        let inner = issued(r#"{"a":["*"]}"#, ClientPolicy::Fixed("bob".into()));
        let claim = |exp: u64| format!(r#"{{"x-ably-token":"{inner}","exp":{exp}}}"#);
        let header = format!(r#"{{"alg":"dir","enc":"A256GCM","x-ably-token":"{inner}"}}"#);
        let jwe = |header: &str| {
            let text = jwt(header, "");
            format!("{}..iv.text.tag", text.split_once('.').unwrap().0)
        };
        let cases = [
            (jwt(r#"{"alg":"RS256"}"#, &claim(1_700_000_060)), 1_700_000_060_000),
            (jwt(HS256, &claim(1_900_000_000)), 1_700_003_600_000),
            (jwt(&header, "{}"), 1_700_003_600_000),
            (jwe(&header), 1_700_003_600_000),
        ];
        for (text, expires) in cases {
            let principal = rest(&token(&text)).unwrap();
            assert_eq!((principal.method, principal.key_id.as_ref()), (Method::Token, "some"));
            assert_eq!(principal.client_id_for_connection(), Some("bob"));
            assert_eq!(principal.expires, Some(Timestamp(expires)));
        }
        let expired = jwt("{}", &claim(1_700_000_000));
        assert_eq!(rest(&token(&expired)).unwrap_err().code, 40142);
        let nested = jwt("{}", &format!(r#"{{"x-ably-token":"{}"}}"#, jwt(HS256, HOUR)));
        assert_eq!(rest(&token(&nested)).unwrap_err().code, 40143);
        let stolen = jwt("{}", r#"{"x-ably-token":"app.AQ"}"#);
        assert_eq!(rest(&token(&stolen)).unwrap_err().code, 40143);
        let without = jwe(r#"{"alg":"dir","enc":"A256GCM","kid":"app.all"}"#);
        assert_eq!(rest(&token(&without)).unwrap_err().code, 40144);
    }

    #[test]
    fn a_token_expires_with_40142() {
        let text = issued(r#"{"*":["*"]}"#, ClientPolicy::Any);
        let later = NOW.plus(Duration::from_mins(60));
        for place in [Place::Rest, Place::Connect] {
            assert_eq!(at(&token(&text), place, later).unwrap_err().code, 40142);
        }
    }

    #[test]
    fn unknown_names_have_the_code_of_their_place() {
        let gone = |app_id: &str, key_id: &str| {
            let grant = Grant {
                app_id: app_id.into(),
                key_id: key_id.into(),
                client: ClientPolicy::Any,
                capability: Capability::default(),
                ttl: Duration::from_mins(1),
            };
            token(&issue(&grant, &secret(), NOW, &mut rng()).token)
        };
        let by_kid = |kid: &str| token(&jwt(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), HOUR));
        let cases = [
            (key("this.is:wrong"), (40101, 401)),
            (key("app.unknown:secret"), (40400, 401)),
            (key("app.all:wrong"), (40101, 401)),
            (key("app.all:"), (40101, 401)),
            (by_kid("invalid.invalid"), (40400, 404)),
            (by_kid("app.unknown"), (40400, 401)),
            (gone("other", "all"), (40400, 404)),
            (gone("app", "unknown"), (40400, 401)),
        ];
        for (credentials, expected) in cases {
            let error = rest(&credentials).unwrap_err();
            assert_eq!((error.code, error.status), expected, "{error}");
            let error = at(&credentials, Place::Connect, NOW).unwrap_err();
            assert_eq!((error.code, error.status), (40101, 401), "{error}");
        }
    }

    #[test]
    fn text_that_is_no_credential_is_refused_with_40005_and_at_connect_with_40101() {
        for credentials in
            [key("app.all"), key(":"), key(".:"), key("a:b"), token("x"), token("a.b.c.d")]
        {
            let error = at(&credentials, Place::Rest, NOW).unwrap_err();
            assert_eq!((error.code, error.status), (40005, 400));
            let error = at(&credentials, Place::Connect, NOW).unwrap_err();
            assert_eq!((error.code, error.status), (40101, 401));
        }
    }

    #[test]
    fn the_requested_client_id_must_be_one_of_the_credentials() {
        let bob = token(&issued(r#"{"*":["*"]}"#, ClientPolicy::Fixed("bob".into())));
        let basic = key("app.all:secret of all");
        let ask = |credentials: &Credentials, requested| {
            authenticate(&apps, &secret(), credentials, Some(requested), Place::Connect, NOW)
                .map(|principal| principal.client)
                .map_err(|error| error.code)
        };
        assert_eq!(ask(&bob, "bob"), Ok(ClientPolicy::Fixed("bob".into())));
        assert_eq!(ask(&bob, "eve"), Err(40102));
        assert_eq!(ask(&basic, "eve"), Ok(ClientPolicy::Fixed("eve".into())));
        assert_eq!(ask(&basic, "*"), Err(40012));
    }

    #[test]
    fn a_key_with_an_unreadable_capability_is_the_servers_fault() {
        let broken = |_: &str| {
            let mut app = app();
            app.keys[0].capability = "{".into();
            Some(Arc::new(app))
        };
        let basic = key("app.all:secret of all");
        let error = authenticate(&broken, &secret(), &basic, None, Place::Rest, NOW).unwrap_err();
        assert_eq!((error.code, error.status), (50000, 500));
    }
}
