//! Mistakes about identities, claims and cookies: each fails `nginx -t` with its line, or warns, and says what to write.

use crate::config_errors::{Case, assert_refused, policy};
use crate::identities::SECRET;

fn with_files(block: &str) -> black_box::Config {
    policy(&format!("release stable a; release canary b weight=1%;\n{block}"))
        .file("secret", SECRET)
        .file("short", "0123456789abcdef0123456789abcde")
        .file("forty", "0123456789abcdef0123456789abcdef01234567\n")
        .file("empty", "")
        .file("keys.json", r#"{"keys":[{"kty":"oct","k":"c2hvcnQ"},{"kty":"RSA","use":"enc"}]}"#)
        .file(
            "ed25519.json",
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        )
        .file(
            "private.pem",
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n",
        )
        .file("public.pem", "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n")
        .file("damaged.pem", format!("-----BEGIN PRIVATE KEY----\n{SECRET}\n-----END PRIVATE KEY-----\n"))
        .file("typed.json", r#"{"kty":"oct","alg":5,"k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}"#)
        .file("broken.pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
}

fn assert_all_refused(cases: &[Case]) {
    for (block, expected) in cases {
        assert_refused(block, &with_files(block).check(), expected);
    }
}

#[test]
fn identity_lines() {
    assert_all_refused(&[
        ("identity;", &["invalid number of arguments in \"identity\"", "jwt | better_auth | authjs"]),
        ("identity oauth secret=secret;", &["unknown identity \"oauth\"", "jwt, better_auth or authjs"]),
        ("identity jwt;", &["no keys", "keys=file"]),
        (
            "identity jwt keys=ed25519.json secret=secret;",
            &["exclude each other", "two \"identity jwt\" lines"],
        ),
        ("identity jwt secret=secret secret=forty;", &["duplicate parameter \"secret=forty\""]),
        ("identity jwt secret=;", &["a value must follow \"secret=\""]),
        ("identity jwt secret=secret key=x;", &["unknown parameter \"key=x\"", "keys=file"]),
        ("identity jwt secret=secret on;", &["unknown parameter \"on\""]),
        ("identity jwt secret=nowhere;", &["cannot read key file", "/nowhere\"", "No such file"]),
        ("identity jwt secret=.;", &["it is no regular file"]),
        ("identity jwt secret=short;", &["has 31 bytes", "HS256 needs 32", "openssl rand"]),
        ("identity jwt secret=empty;", &["has 0 bytes", "openssl rand"]),
        ("identity jwt secret=forty alg=HS512;", &["its keys allow HS256", "\"alg=\" allows HS512 only"]),
        (
            "identity jwt secret=forty alg=HS256,HS384;",
            &["too short for \"alg=HS384\"", "long enough for HS256"],
        ),
        ("identity jwt secret=secret alg=none;", &["unknown algorithm \"none\"", "HS256"]),
        ("identity jwt secret=secret alg=hs256;", &["unknown algorithm \"hs256\"", "HS256"]),
        ("identity jwt secret=secret alg=RS256;", &["its keys allow HS256", "\"alg=\" allows RS256 only"]),
        (
            "identity jwt keys=ed25519.json alg=HS256;",
            &["its keys allow EdDSA", "\"alg=\" allows HS256 only"],
        ),
        (
            "identity jwt keys=keys.json;",
            &["no key that can verify", "the secret has 5 bytes", "\"use\" is not \"sig\""],
        ),
        ("identity jwt keys=empty;", &["neither a JWK Set nor a public key in PEM"]),
        ("identity jwt keys=secret;", &["neither a JWK Set nor a public key in PEM"]),
        ("identity jwt keys=private.pem;", &["it is a private key", "openssl pkey -in FILE -pubout"]),
        ("identity jwt keys=broken.pem;", &["its PUBLIC KEY cannot be read"]),
        ("identity jwt secret=public.pem;", &["it holds keys and no shared secret", "keys=file"]),
        ("identity jwt secret=keys.json;", &["it holds keys and no shared secret", "keys=file"]),
        ("identity better_auth secret=public.pem;", &["it holds keys and no shared secret"]),
        ("identity jwt keys=damaged.pem;", &["\"-----BEGIN \" line in it is damaged"]),
        ("identity jwt keys=typed.json;", &["its \"alg\" is no text"]),
        ("identity jwt secret=secret require=exp,;", &["invalid list \"exp,\"", "exp,sub"]),
        ("identity jwt secret=secret leeway=1x;", &["invalid time \"1x\"", "90s"]),
        (
            "identity jwt secret=secret cache=many;",
            &["invalid number \"many\" in \"cache=\"", "0 to 1000000"],
        ),
        ("identity jwt secret=secret from=token;", &["did you mean \"cookie:token\"?"]),
        ("identity jwt secret=secret from=claim:sub;", &["claims come from a token"]),
        ("identity jwt secret=env:;", &["invalid name \"\" after \"env:\""]),
        (
            "identity jwt secret=env:LOBECHAT_CANARY_NOT_SET;",
            &["is not set where nginx starts", "secret=file"],
        ),
        ("identity better_auth;", &["\"secret=\" is missing", "identity better_auth secret=file"]),
        ("identity better_auth secret=empty;", &["the secret is empty"]),
        ("identity authjs secret=secret cookie=a;b=c;", &["unknown directive \"b=c\""]),
        ("identity authjs secret=secret \"cookie=a b\";", &["invalid cookie name \"a b\""]),
        (
            "identity authjs keys=ed25519.json;",
            &["unknown parameter \"keys=ed25519.json\"", "identity authjs secret=file"],
        ),
    ]);
}

#[test]
fn claims() {
    assert_all_refused(&[
        ("route canary if claim:role = tester;", &["has no identity", "identity jwt keys=file"]),
        ("user claim:sub;", &["has no identity"]),
        ("claim $role role;", &["has no identity"]),
        ("identity jwt secret=secret;\nclaim role role;", &["claim $variable path"]),
        ("identity jwt secret=secret;\nclaim $role;", &["claim $variable path"]),
        ("identity jwt secret=secret;\nclaim $ role;", &["invalid variable name \"$\""]),
        ("identity jwt secret=secret;\nclaim $host host;", &["variable \"$host\" exists already"]),
        ("identity jwt secret=secret;\nclaim $lobechat_canary_user sub;", &["exists already"]),
        ("identity jwt secret=secret;\nclaim $a a;\nclaim $A b;", &["duplicate variable \"$A\""]),
        (
            "identity jwt secret=secret;\nroute canary if claim:a..b;",
            &["invalid claim \"a..b\"", "a name is empty"],
        ),
        (
            "identity jwt secret=secret;\nroute canary if claim:role=tester;",
            &["write \"claim:role = tester\""],
        ),
    ]);
}

#[test]
fn cookies() {
    assert_all_refused(&[
        ("cookie_key;", &["cookie_key file"]),
        ("cookie_key short;", &["line 1 has 31 bytes", "openssl rand"]),
        ("cookie_key empty;", &["it holds no key"]),
        ("cookie_key secret;\ncookie_key forty;", &["\"cookie_key\" directive is duplicate"]),
        ("route canary if cookie:a remember=soon;", &["invalid time \"soon\""]),
        ("route canary if cookie:a remember=0;", &["above 0"]),
        (
            "user cookie:uid keep=30d;",
            &["\"keep=30d\" must follow a claim", "user claim:sub keep=30d visitor;"],
        ),
        ("identity jwt secret=secret;\nuser keep=30d claim:sub;", &["must follow a claim"]),
        ("identity jwt secret=secret;\nuser claim:sub keep=0;", &["above 0"]),
        (
            "identity jwt secret=secret;\nuser claim:sub keep=1d claim:email keep=1d;",
            &["\"keep=\" is duplicate"],
        ),
    ]);
}

/// A key set with a secret in it, which is one.
const OCT: &str = r#"{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}"#;

/// A key file comes from elsewhere: what it says must not look like a line of the log, and what it hides stays hidden.
#[test]
fn key_files_are_quoted_with_care() {
    let set = r#"{"keys":[{"kty":"EC","kid":"a\n2026/01/01 00:00:00 [emerg] forged"}]}"#;
    let check = with_files("identity jwt keys=set.json;").file("set.json", set).check();
    assert!(check.output.contains("(kid \"a 2026/01/01 00:00:00 [emerg] forged\")"), "{}", check.output);
    let check = with_files("identity jwt keys=damaged.pem;").check();
    assert!(!check.ok && !check.output.contains(SECRET), "{}", check.output);
}

/// What works, but should be known.
#[test]
fn warnings() {
    for (block, expected) in [
        ("identity better_auth secret=short;", "the secret has 31 bytes, and should have 32 or more"),
        ("identity authjs secret=short;", "the secret has 31 bytes, and should have 32 or more"),
        ("identity jwt keys=oct.json;", "everybody can read the secret in"),
        ("identity jwt secret=secret;\nuser cookie:uid;", "has an identity, but reads no claim of it"),
        ("route canary if cookie:a remember=7d;", "no \"cookie_key\": no other nginx can read its cookies"),
        ("identity jwt secret=secret;\nuser claim:sub keep=7d;", "no \"cookie_key\""),
    ] {
        let check = with_files(block).file("oct.json", OCT).check();
        let warned = check.output.lines().any(|line| line.contains("[warn]") && line.contains(expected));
        assert!(check.ok && warned, "{block}\n{}", check.output);
        assert!(
            !check.output.contains(SECRET) && !check.output.contains("0123456789abcdef"),
            "{}",
            check.output
        );
    }
}

/// Keys that cannot be used are passed over, and said, unless many sets have their like.
#[test]
fn keys_that_are_passed_over() {
    let set = r#"{"keys":[{"kty":"XYZ","kid":"odd"},{"kty":"RSA","use":"enc"},
        {"kty":"OKP","kid":"short","crv":"Ed25519","x":"AAAA"},
        {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let check = with_files("identity jwt keys=set.json;").file("set.json", set).check();
    let said = "key 3 (kid \"short\") is skipped: it is no valid public key";
    assert!(check.ok && check.output.contains(said), "{}", check.output);
    assert!(!check.output.contains("key 1") && !check.output.contains("key 2"), "{}", check.output);
}
