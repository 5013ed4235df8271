//! Every example of nginx-conf/ passes `nginx -t` without a warning.

use black_box::example;

#[test]
fn examples_load() {
    let examples = example::all();
    assert!(!examples.is_empty(), "nginx-conf/ holds no example");
    for path in examples {
        let check = example::check(&path);
        assert!(check.ok && !check.output.contains("[warn]"), "{}\n{}", path.display(), check.output);
    }
}
