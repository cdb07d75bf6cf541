use super::*;

fn report() -> Report {
    let layer = |name: &str, bytes| Layer {
        name: name.into(),
        op: "Conv".into(),
        backend: "ot".into(),
        seconds: 0.5,
        bytes,
        rounds: 2,
    };
    Report {
        schema: SCHEMA,
        model: "m".into(),
        digest: "ab".into(),
        backend: "ot".into(),
        domain: "ring".into(),
        modulus: "2^37".into(),
        bitwidth: 37,
        scale: 12,
        ot: Some("iknp".into()),
        exact: true,
        threads: 1,
        link: None,
        link_probed: None,
        predictions: Some(vec![Prediction {
            class: Some(1),
            name: Some("benign".into()),
            ..Prediction::of("a.png".into(), Some(0))
        }]),
        bitwise_equal: Some(false),
        seconds: Seconds { setup: 1.0, offline: 0.0, online: 2.0, total: 3.0 },
        bytes: Bytes { client_to_server: 1, server_to_client: 2048, total: 2049, setup: 1 },
        rounds: 4,
        peak_rss_bytes: PeakRss { server: None, client: Some(1 << 20) },
        layers: vec![layer("conv|1", 7), layer("a,b", 8)],
    }
}

fn export(exporter: &dyn Exporter) -> String {
    let mut out = Vec::new();
    exporter.export(&report(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn json_has_every_field_and_null_for_what_is_not_known() {
    let text = export(&Json);
    assert_eq!(text.lines().count(), 1);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = vec![
        "schema",
        "model",
        "digest",
        "backend",
        "domain",
        "modulus",
        "bitwidth",
        "scale",
        "ot",
        "exact",
        "threads",
        "link",
        "link_probed",
        "predictions",
        "bitwise_equal",
        "seconds",
        "bytes",
        "rounds",
        "peak_rss_bytes",
        "layers",
    ];
    let mut keys = keys;
    keys.sort_unstable();
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert!(value["link"].is_null() && value["peak_rss_bytes"]["server"].is_null());
    assert_eq!(value["predictions"][0], serde_json::json!({"input":"a.png","class":1,"label":0}));
    let back: Report = serde_json::from_str(&text).unwrap();
    assert_eq!(back.layers, report().layers);
}

#[test]
fn text_says_what_differs() {
    let text = export(&Text);
    for part in ["1 (benign)", "label 0", "0 of 1 labels agree", "NOT equal", "2.00 KiB", "Z_2^37"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn tables_are_well_formed() {
    let text = export(&Csv);
    assert_eq!(text.lines().next().unwrap(), "layer,op,backend,seconds,bytes,rounds");
    assert!(text.contains("\"a,b\",Conv,ot,0.500,8,2"), "{text}");
    assert!(export(&Markdown).contains("| conv\\|1 | Conv | ot | 0.500 | 7 | 2 |"));
}
