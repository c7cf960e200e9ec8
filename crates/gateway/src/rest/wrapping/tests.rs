//! Wrapped answers, as browsers of old ask for them.

use node::{ChannelsPage, Response};
use types::error::CAPABILITY_MISSING;

use super::*;
use crate::testing::{Answered, Bench, settings};

async fn list(path: &str) -> Answered {
    let page = || ChannelsPage { channels: Vec::new(), next: Some("a".into()) };
    let (bench, _requests) = Bench::answering(move |_| Response::Channels(page())).await;
    bench.get(path).await
}

fn called(answer: &Answered, function: &str) -> Value {
    assert_eq!(answer.header("content-type"), Some("application/javascript"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let text = std::str::from_utf8(&answer.body).unwrap();
    let argument = text.strip_prefix(&format!("/**/{function}(")).unwrap();
    serde_json::from_str(argument.strip_suffix(')').unwrap()).unwrap()
}

#[tokio::test]
async fn an_envelope_has_status_headers_links_and_the_answer() {
    let answer = list("/channels?envelope=json&limit=1&format=msgpack").await;
    assert_eq!(answer.status, 200);
    let envelope = answer.json();
    assert_eq!((&envelope["statusCode"], &envelope["response"]), (&json!(200), &json!([])));
    assert_eq!(envelope["headers"]["content-type"], "application/json");
    let next = envelope["rel"]["next"].as_str().unwrap();
    assert!(next.starts_with("./channels?") && next.ends_with("&after=a"), "{next}");
    assert!(envelope["headers"]["link"].as_str().unwrap().contains(next));
}

#[tokio::test]
async fn an_envelope_of_an_error_has_its_status_and_is_a_success_itself() {
    let (bench, _requests) = Bench::answering(|_| Response::Error(CAPABILITY_MISSING.info())).await;
    let answer = bench.get("/channels?envelope=json").await;
    assert_eq!(answer.status, 200);
    let envelope = answer.json();
    assert_eq!(envelope["statusCode"], 401);
    assert_eq!(envelope["response"]["error"]["code"], 40160);
    assert_eq!(envelope["headers"]["x-ably-errorcode"], "40160");
    assert_eq!(envelope.get("rel"), None);
}

#[tokio::test]
async fn an_envelope_of_nothing_has_no_response() {
    let (bench, _requests) = Bench::answering(|_| Response::NoContent).await;
    let answer = bench.ask("DELETE /apps/a?envelope=json", &[], b"").await;
    assert_eq!((answer.status, answer.json()["statusCode"].as_u64()), (200, Some(204)));
    assert_eq!(answer.json().get("response"), None);
}

#[tokio::test]
async fn a_script_calls_the_function_that_it_named() {
    let bench = Bench::new(settings()).await;
    let now = json!([1_750_000_000_000_u64]);
    let answer = bench.get("/time?format=jsonp").await;
    assert_eq!(called(&answer, "callback"), now);
    let answer =
        bench.ask("GET /time?callback=a.b_1%5B0%5D", &["Accept: application/javascript"], b"");
    assert_eq!(called(&answer.await, "a.b_1[0]"), now);
    let answer = bench.get("/nowhere?envelope=jsonp&callback=f").await;
    assert_eq!((answer.status, &called(&answer, "f")["statusCode"]), (200, &json!(404)));
}

#[tokio::test]
async fn what_is_no_function_or_no_envelope_is_refused_with_40003() {
    let bench = Bench::new(settings()).await;
    let long = format!("format=jsonp&callback={}", "x".repeat(MAX_CALLBACK + 1));
    for query in ["format=jsonp&callback=alert(1)", "format=jsonp&callback=", "envelope=xml", &long]
    {
        assert_eq!(bench.get(&format!("/time?{query}")).await.error(), (400, 40003), "{query}");
    }
}

#[tokio::test]
async fn what_is_not_json_is_left_as_it_is() {
    let bench = Bench::new(settings()).await;
    let answer = bench.get("/metrics?envelope=json").await;
    assert_eq!(answer.body, "# EOF\n");
}

#[test]
fn separators_of_lines_do_not_end_a_script() {
    assert_eq!(as_script("\"a\u{2028}\u{2029}\""), "\"a\\u2028\\u2029\"");
}
