//! The description of the API is that of the real answers.

use alexnet_serve::train::Config;
use alexnet_serve::train::log::{Log, StepLine};
use alexnet_serve::train::run::Run;
use alexnet_serve::{Options, Service};
use serde_json::Value;

use crate::support::{Answer, TestServer, classifier, image_of, model, png};

/// Checks a value against a schema, of the words that the description uses.
fn check(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let target = document.pointer(name.strip_prefix('#').unwrap());
        return check(document, target.unwrap_or_else(|| panic!("no {name}")), value, place);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let is_null = |choice: &&Value| (choice["type"] == "null") == value.is_null();
        return check(document, choices.iter().find(is_null).unwrap(), value, place);
    }
    if let Some(values) = schema["enum"].as_array() {
        assert!(values.contains(value), "{place}: {value}");
        return;
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(|kind| kind.as_str().unwrap()).collect(),
        kind => vec![kind.as_str().unwrap_or_else(|| panic!("{place}: a schema without a type"))],
    };
    let fits = |kind: &str| match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{place}: the type {other}"),
    };
    assert!(kinds.iter().any(|kind| fits(kind)), "{place}: {value} is no {kinds:?}");
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        check(document, &schema["items"], item, &format!("{place}[{number}]"));
    }
    let Some(properties) = schema["properties"].as_object() else { return };
    let Some(fields) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(fields.contains_key(name.as_str().unwrap()), "{place}: no {name} in {value}");
    }
    for (name, field) in fields {
        let schema = properties.get(name).unwrap_or_else(|| panic!("{place}: {name} is not described"));
        check(document, schema, field, &format!("{place}.{name}"));
    }
}

/// Checks an answer against the description of its path and method.
fn check_answer(document: &Value, path: &str, method: &str, answer: &Answer) {
    let described = &document["paths"][path][method]["responses"][answer.status.to_string()];
    assert!(described.is_object(), "{path}: status {} is not described", answer.status);
    let schema = &described["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{path}: {described}");
    check(document, schema, &answer.json(), path);
}

#[test]
fn answers_are_as_described() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("run");
    let _run = Run::create(&folder, &Config::default(), &model()).unwrap();
    let line = r#"{"step":1,"epoch":1,"loss":1.5,"top1_error":0.5,"rate":0.1,"images_per_s":9.0}"#;
    let line: StepLine = serde_json::from_str(line).unwrap();
    assert_eq!(Log::open(&folder.join("log.jsonl"), 0).unwrap().append(&line), None);
    std::fs::write(folder.join("best.toml"), "step = 1\nmonitor = \"validation-top1-error\"\nvalue = 0.5\n").unwrap();
    let server = TestServer::with(
        Options::default(),
        Service { classifier: Some(classifier()), run: Some(folder), renewal: None },
    );
    let document = server.get("/openapi.json").json();
    let image = png(&image_of(1));
    for path in ["/v1/model", "/v1/run", "/healthz"] {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{}", answer.text());
        check_answer(&document, path, "get", &answer);
    }
    for path in ["/v1/predict", "/v1/explain"] {
        check_answer(&document, path, "post", &server.post(path, "", &image));
        for body in [&b""[..], b"text", b"P6 0 0 255\n", b"P6 100000 100000 255\n"] {
            let answer = server.post(path, "", body);
            assert!(answer.status >= 400);
            check_answer(&document, path, "post", &answer);
        }
    }
    assert_eq!(server.get("/v1/run").json()["best"]["step"], 1);
}

#[test]
fn every_reference_leads_to_a_schema() {
    let document = TestServer::new(Options::default()).get("/openapi.json").json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let text = document.to_string();
    let references = text.split(r##""$ref":"#"##).skip(1).map(|rest| rest.split('"').next().unwrap());
    let mut count = 0;
    for reference in references {
        assert!(document.pointer(reference).is_some(), "{reference}");
        count += 1;
    }
    assert!(count > 20, "{count}");
}
