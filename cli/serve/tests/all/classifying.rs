//! Predictions and explanations.

use std::path::Path;
use std::thread;

use alexnet_serve::train::features::{FeatureDescription, FeaturesFile, FeaturesReader};
use alexnet_serve::{Classifier, Gallery, Options, Service};
use ndarray::Array2;
use serde_json::Value;

use crate::support::{CLASSES, FORM, TestServer, classifier, expected, form, image_of, model, png};

/// Checks that the classes of an answer are those of `train::predict`. Batches differ in rounding.
fn check(top: &Value, number: u32, count: usize) {
    let expected = expected(&image_of(number), count);
    let top = top.as_array().unwrap();
    assert_eq!(top.len(), expected.len());
    for (found, expected) in top.iter().zip(expected) {
        assert_eq!(found["class"], expected.class, "image {number}");
        assert_eq!(found["name"], expected.name);
        let probability = found["probability"].as_f64().unwrap();
        assert!((probability - f64::from(expected.probability)).abs() < 1e-5, "{found} is not {expected:?}");
    }
}

#[test]
fn predictions_are_those_of_the_library() {
    let server = TestServer::new(Options::default());
    for number in 0..3 {
        let answer = server.post("/v1/predict", "Content-Type: image/png\r\n", &png(&image_of(number)));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let json = answer.json();
        assert_eq!(json["predictions"].as_array().unwrap().len(), 1);
        check(&json["predictions"][0]["top"], number, 3);
    }
    let one = server.post("/v1/predict?top=1", "", &png(&image_of(1))).json();
    check(&one["predictions"][0]["top"], 1, 1);
    let all = server.post("/v1/predict?top=99999", "", &png(&image_of(1))).json();
    let words = |top: &Value| top["name"] != CLASSES[0] || top["words"].as_str().unwrap().contains("tabby");
    assert!(all["predictions"][0]["top"].as_array().unwrap().iter().all(words), "{all}");
}

/// Predictions and explanations have the same probabilities.
#[test]
fn a_temperature_makes_probabilities_less_sure() {
    let probabilities = |path: &str, temperature: f64| {
        let service = Service { classifier: Some(Classifier { temperature, ..classifier() }), ..Service::default() };
        let answer = TestServer::with(Options::default(), service).post(path, "", &png(&image_of(1))).json();
        match path {
            "/v1/explain" => vec![answer["class"]["probability"].as_f64().unwrap()],
            _ => {
                let top = answer["predictions"][0]["top"].as_array().unwrap();
                top.iter().map(|class| class["probability"].as_f64().unwrap()).collect()
            }
        }
    };
    let all = "/v1/predict?top=999";
    let plain = probabilities(all, 1.0);
    let sum: f64 = plain.iter().map(|p| p.sqrt()).sum();
    let scaled = probabilities(all, 2.0);
    for (plain, scaled) in plain.iter().zip(&scaled) {
        assert!((plain.sqrt() / sum - scaled).abs() < 1e-5, "{plain} {scaled}");
    }
    assert!((probabilities("/v1/explain", 2.0)[0] - scaled[0]).abs() < 1e-5);
}

#[test]
fn images_of_a_form_are_answered_in_their_order() {
    let server = TestServer::new(Options { batch: 3, ..Options::default() });
    let images: Vec<Vec<u8>> = (0..7).map(|number| png(&image_of(number))).collect();
    let names: Vec<String> = (0..7).map(|number| format!("{number}.png")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(String::as_str).zip(images.iter().map(Vec::as_slice)).collect();
    let answer = server.post("/v1/predict?top=2", FORM, &form(&files));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    let predictions = json["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 7);
    for (number, prediction) in (0..).zip(predictions) {
        assert_eq!(prediction["name"], names[number as usize]);
        check(&prediction["top"], number, 2);
    }
    assert_eq!(server.metric("alexnet_batch_images_sum"), 7.0);
    assert!(server.metric("alexnet_batch_images_count") >= 3.0);
}

#[test]
fn many_clients_get_their_own_answers() {
    let server = TestServer::new(Options::default());
    thread::scope(|scope| {
        for client in 0..12 {
            let server = &server;
            scope.spawn(move || {
                for number in [client, client + 1, client + 2] {
                    let answer = server.post("/v1/predict?top=3", "", &png(&image_of(number)));
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    check(&answer.json()["predictions"][0]["top"], number, 3);
                }
            });
        }
    });
    assert_eq!(server.metric("alexnet_batch_images_sum"), 36.0);
    let route = r#"route="/v1/predict",status="200""#;
    assert_eq!(server.metric(&format!("alexnet_requests_total{{{route}}}")), 36.0);
    assert_eq!(server.metric("alexnet_images_in_process"), 0.0);
}

/// A file of features by the layer `fc1` of the small network, of four images.
fn features(folder: &Path) -> FeaturesReader {
    let path = folder.join("features.h5");
    let classes = vec!["one".to_string(), "two".to_string()];
    let layer = "fc1".to_string();
    let description = FeatureDescription { images: 4, length: 3, layer, classes, ..FeatureDescription::default() };
    let mut file = FeaturesFile::create(&path, &description).unwrap();
    let names = ["a", "b", "c", "d"].map(str::to_string);
    let values = Array2::from_shape_fn((4, 3), |(row, column)| (row * 10 + column) as f32);
    file.append(&names, &[0, 1, 0, 1], &values).unwrap();
    file.finish().unwrap();
    FeaturesReader::open(&path).unwrap()
}

#[test]
fn the_nearest_images_of_a_gallery() {
    let folder = tempfile::tempdir().unwrap();
    let gallery = Gallery::new(features(folder.path()), None, &model()).unwrap();
    let classifier = Classifier { gallery: Some(gallery), ..classifier() };
    let server = TestServer::with(Options::default(), Service { classifier: Some(classifier), ..Service::default() });
    let answer = server.post("/v1/explain", "", &png(&image_of(1)));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    let found = json["neighbours"].as_array().unwrap();
    let distances: Vec<f64> = found.iter().map(|near| near["distance"].as_f64().unwrap()).collect();
    assert!(found.len() == 4 && distances.is_sorted(), "{json}");
    let class = |near: &Value| if near["name"] == "a" || near["name"] == "c" { "one" } else { "two" };
    assert!(found.iter().all(|near| near["class"] == class(near) && near["image"].is_null()), "{json}");

    let mut other = model();
    other.set_classes(5).unwrap();
    let error = Gallery::new(features(folder.path()), None, &other).unwrap_err().to_string();
    assert!(error.contains("features.h5") && error.contains("3 values of fc1"), "{error}");
}

#[test]
fn an_explanation_is_of_the_class_that_is_asked_for() {
    let server = TestServer::new(Options::default());
    let image = png(&image_of(2));
    let answer = server.post("/v1/explain", "", &image);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    assert_eq!(json["class"]["class"], expected(&image_of(2), 1)[0].class);
    let input = json["input"].as_str().unwrap();
    assert!(input.starts_with("data:image/png;base64,iVBOR"), "{input}");
    let kernels = json["kernels"].as_array().unwrap();
    assert_eq!(kernels.len(), 8);
    let methods: Vec<&str> =
        json["maps"].as_array().unwrap().iter().map(|map| map["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["occlusion", "grad-cam"]);
    let responses: Vec<f64> = kernels.iter().map(|kernel| kernel["response"].as_f64().unwrap()).collect();
    assert!(responses.is_sorted_by(|a, b| a >= b), "{responses:?}");
    for class in 0..3 {
        let json = server.post(&format!("/v1/explain?class={class}"), "", &image).json();
        assert_eq!(json["class"]["class"], class);
    }
    let answer = server.post("/v1/explain?class=3", "", &image);
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_query"));
    let two = server.post("/v1/explain", FORM, &form(&[("a", &image), ("b", &image)]));
    assert_eq!((two.status, two.code().as_str()), (400, "too_many_images"));
}
