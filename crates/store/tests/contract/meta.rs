//! What a node remembers of itself, app documents, and who may open the directory.

use std::time::Duration;

use packed::Unreadable;
use store::{DEFAULT_RETENTION, Incarnation, Store, StoreError};
use types::{App, AppId, AppLimits, Key, Namespace, Restrictions, Timestamp};

use crate::support::{Dir, keyspace};

fn app(id: &str) -> App {
    let key = Key {
        id: "key".into(),
        secret: "secret".into(),
        capability: r#"{"*":["*"]}"#.into(),
        revocable_tokens: false,
        restrictions: Restrictions::default(),
    };
    let namespace = Namespace { id: "persisted".into(), persisted: true, ..Namespace::default() };
    App {
        id: AppId::from(id),
        account_id: "account".into(),
        keys: vec![key],
        namespaces: vec![namespace],
        limits: AppLimits::default(),
    }
}

/// Writes what no version of the store writes.
fn tamper(dir: &Dir, key: &str, value: &[u8]) {
    let database = dir.engine();
    let meta = keyspace(&database, "meta");
    meta.insert(key, value).unwrap();
}

#[test]
fn a_second_opener_is_told_that_the_directory_is_in_use() {
    let dir = Dir::new();
    let first = dir.open();
    let Err(error) = Store::open(dir.path(), DEFAULT_RETENTION) else { panic!("opened twice") };
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
    drop(first);
    dir.open();
}

#[test]
fn the_secret_is_none_until_it_is_set_and_survives_reopening() {
    let dir = Dir::new();
    let store = dir.open();
    assert_eq!(store.secret().unwrap(), None);
    store.set_secret(&[7; 32]).unwrap();
    drop(store);
    assert_eq!(dir.open().secret().unwrap(), Some([7; 32]));
}

#[test]
fn each_run_has_its_number_and_knows_when_the_last_one_was_alive() {
    let dir = Dir::new();
    let store = dir.open();
    let first = store.next_incarnation().unwrap();
    assert_eq!(first, Incarnation { number: 1, previous_alive: None });
    store.begin_incarnation(first, Timestamp(10)).unwrap();
    store.mark_alive(Timestamp(20)).unwrap();
    drop(store);
    let store = dir.open();
    let second = store.next_incarnation().unwrap();
    assert_eq!(second, Incarnation { number: 2, previous_alive: Some(Timestamp(20)) });
    store.begin_incarnation(second, Timestamp(30)).unwrap();
    drop(store);
    let third = dir.open().next_incarnation().unwrap();
    assert_eq!(third, Incarnation { number: 3, previous_alive: Some(Timestamp(30)) });
}

#[test]
fn a_run_before_which_the_clock_was_set_back_is_alive_no_earlier_than_the_last_one() {
    let dir = Dir::new();
    let store = dir.open();
    store.mark_alive(Timestamp(20)).unwrap();
    store.begin_incarnation(store.next_incarnation().unwrap(), Timestamp(10)).unwrap();
    assert_eq!(store.next_incarnation().unwrap().previous_alive, Some(Timestamp(20)));
}

#[test]
fn apps_are_put_replaced_and_removed() {
    let dir = Dir::new();
    let store = dir.open();
    store.put_app(&app("b")).unwrap();
    store.put_app(&app("a")).unwrap();
    let changed = App { account_id: "other".into(), ..app("b") };
    store.put_app(&changed).unwrap();
    drop(store);
    let store = dir.open();
    assert_eq!(store.apps().unwrap(), [app("a"), changed]);
    store.remove_app(&AppId::from("b")).unwrap();
    store.remove_app(&AppId::from("unknown")).unwrap();
    assert_eq!(store.apps().unwrap(), [app("a")]);
}

#[test]
fn a_document_of_an_unknown_version_is_an_error() {
    let dir = Dir::new();
    drop(dir.open());
    tamper(&dir, "app:a", br#"{"version":2,"app":{}}"#);
    let error = dir.open().apps().unwrap_err();
    assert!(
        matches!(error, StoreError::Unreadable(Unreadable::UnknownFormat { found: 2, .. })),
        "{error}"
    );
}

#[test]
fn a_damaged_document_is_an_error_that_names_the_app() {
    let dir = Dir::new();
    drop(dir.open());
    tamper(&dir, "app:a", br#"{"version":1,"#);
    assert!(dir.open().apps().unwrap_err().to_string().contains("app a"));
}

#[test]
fn a_layout_of_another_version_is_not_opened() {
    let dir = Dir::new();
    drop(dir.open());
    tamper(&dir, "layout", &9_u64.to_be_bytes());
    let error = Store::open(dir.path(), Duration::MAX).err().unwrap();
    assert!(
        matches!(error, StoreError::Unreadable(Unreadable::UnknownFormat { found: 9, .. })),
        "{error}"
    );
}
