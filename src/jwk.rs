//! The keys that verify tokens: a JWK Set (RFC 7517), PEM public keys or certificates, or one shared secret. What
//! cannot verify safely never becomes a key. Used by `identity jwt` when keys are read.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::Rsa;
use openssl::x509::X509;

use crate::algorithm::{Algorithm, Algorithms, Family};
use crate::json::{Members, elements, string};
use crate::mac::MacKey;

/// The most keys of one set: a bad token without a `kid` is tried with all of its kind.
const KEYS: usize = 100;

/// The shortest RSA modulus in bits (RFC 7518 section 3.3).
const RSA_BITS: u32 = 2048;

/// One key, and what it may verify.
#[derive(Debug)]
pub struct Key {
    pub kid: Option<Box<str>>,
    pub algorithms: Algorithms,
    material: Material,
}

enum Material {
    /// One for each of the key's algorithms.
    Secret(Vec<(Algorithm, MacKey)>),
    Public(PKey<Public>),
}

/// The keys of one file or secret.
#[derive(Debug, Default)]
pub struct KeySet {
    pub keys: Vec<Key>,
    /// What was passed over, a sentence each: keys of other kinds and for other uses, as many sets have them.
    pub skipped: Vec<String>,
    /// What was passed over but seems to be meant for signatures.
    pub unusable: Vec<String>,
}

impl KeySet {
    /// Reads a file: a JWK Set, one JWK, or PEM. The error is a sentence.
    pub fn parse(text: &[u8]) -> Result<KeySet, String> {
        let set = match text.trim_ascii_start() {
            [b'{', ..] => parse_jwks(text)?,
            _ => parse_pem(&String::from_utf8_lossy(text))?,
        };
        let passed_over = [&set.skipped[..], &set.unusable].concat().join("; ");
        match set.keys.is_empty() {
            false => Ok(set),
            true if passed_over.is_empty() => Err("it holds no key".to_owned()),
            true => Err(format!("it holds no key that can verify a signature: {passed_over}")),
        }
    }

    /// A shared secret, with the HS algorithms that it is long enough for.
    pub fn secret(secret: &[u8]) -> Result<KeySet, String> {
        Ok(KeySet { keys: vec![Key::secret(secret)?], ..KeySet::default() })
    }

    /// The secret of an application, which signs by HS256 whatever its length.
    pub fn hs256(secret: MacKey) -> KeySet {
        let algorithms = [Algorithm::Hs256].into_iter().collect();
        let material = Material::Secret(vec![(Algorithm::Hs256, secret)]);
        KeySet { keys: vec![Key { kid: None, algorithms, material }], ..KeySet::default() }
    }

    pub fn has_secret(&self) -> bool {
        self.keys.iter().any(|key| matches!(key.material, Material::Secret(_)))
    }

    pub fn algorithms(&self) -> Algorithms {
        self.keys.iter().fold(Algorithms::default(), |all, key| all.or(key.algorithms))
    }
}

fn parse_jwks(text: &[u8]) -> Result<KeySet, String> {
    let invalid = "it is no JWK Set: write {\"keys\":[...]}, or a public key in PEM";
    let members = Members::parse(text).map_err(|_| invalid.to_owned())?;
    let keys = match members.get("keys") {
        Some(keys) => elements(keys).ok_or(invalid)?,
        None if members.has("kty") => vec![str::from_utf8(text).map_err(|_| invalid)?],
        None => return Err(invalid.to_owned()),
    };
    if keys.len() > KEYS {
        return Err(format!("it holds {} keys, and may hold {KEYS}", keys.len()));
    }
    let mut set = KeySet::default();
    for (number, text) in keys.into_iter().enumerate() {
        let members = Members::parse(text.as_bytes()).map_err(|_| invalid.to_owned())?;
        let kid = members.text("kid").map_or(String::new(), |kid| format!(" (kid \"{kid}\")"));
        let said = |why: String| format!("key {}{kid} is skipped: {why}", number + 1);
        // As RFC 7517 section 5 wants it: a key that cannot be used is no reason to use none.
        match (other_use(&members), parse_jwk(&members)) {
            (Some(why), _) => set.skipped.push(said(why)),
            (None, Err(why)) => set.unusable.push(said(why)),
            (None, Ok(key)) => set.keys.push(key),
        }
    }
    Ok(set)
}

/// Why a key is not meant for signatures, or is of a kind that has none.
fn other_use(members: &Members<'_>) -> Option<String> {
    if members.text("use").is_some_and(|usage| usage != "sig") {
        return Some("its \"use\" is not \"sig\"".to_owned());
    }
    if members.get("key_ops").is_some() {
        let operations = members.get("key_ops").and_then(elements).unwrap_or_default();
        if !operations.iter().any(|operation| string(operation).as_deref() == Some("verify")) {
            return Some("its \"key_ops\" do not name \"verify\"".to_owned());
        }
    }
    let kind = members.text("kty").unwrap_or_default();
    let known = ["oct", "RSA", "EC", "OKP"].contains(&&*kind);
    (!known).then(|| format!("its type \"{kind}\" is not supported"))
}

fn parse_jwk(members: &Members<'_>) -> Result<Key, String> {
    let bytes = |name: &str| -> Result<Vec<u8>, String> {
        let text = members.text(name).ok_or_else(|| format!("\"{name}\" is missing"))?;
        URL_SAFE_NO_PAD.decode(&*text).map_err(|_| format!("\"{name}\" is not base64url without padding"))
    };
    for name in ["kty", "crv", "use", "alg", "kid"] {
        if members.has(name) && members.text(name).is_none() {
            return Err(format!("its \"{name}\" is no text"));
        }
    }
    let unusable = |_| "it is no valid public key".to_owned();
    let mut key = match (&*members.text("kty").unwrap_or_default(), &*members.text("crv").unwrap_or_default())
    {
        ("oct", _) => Key::secret(&bytes("k")?)?,
        ("RSA", _) => {
            let number = |name| BigNum::from_slice(&bytes(name)?).map_err(unusable);
            let rsa = Rsa::from_public_components(number("n")?, number("e")?).map_err(unusable)?;
            Key::public(PKey::from_rsa(rsa).map_err(unusable)?)?
        }
        ("EC", curve) => {
            let (nid, size) = match curve {
                "P-256" => (Nid::X9_62_PRIME256V1, 32),
                "P-384" => (Nid::SECP384R1, 48),
                "P-521" => (Nid::SECP521R1, 66),
                _ => return Err(format!("its curve \"{curve}\" is not supported")),
            };
            let coordinate = |name| match bytes(name)? {
                bytes if bytes.len() == size => BigNum::from_slice(&bytes).map_err(unusable),
                _ => Err(format!("\"{name}\" is not {size} bytes long")),
            };
            let group = EcGroup::from_curve_name(nid).map_err(unusable)?;
            let (x, y) = (coordinate("x")?, coordinate("y")?);
            let key = EcKey::from_public_key_affine_coordinates(&group, &x, &y).map_err(unusable)?;
            Key::public(PKey::from_ec_key(key).map_err(unusable)?)?
        }
        ("OKP", "Ed25519") => {
            Key::public(PKey::public_key_from_raw_bytes(&bytes("x")?, Id::ED25519).map_err(unusable)?)?
        }
        (_, curve) => return Err(format!("its curve \"{curve}\" is not supported")),
    };
    if let Some(name) = members.text("alg") {
        // One key, one algorithm, if the issuer says so (RFC 8725 section 3.1).
        // Some sets have the number of the curve in the name (Wycheproof's RFC 7520 figure 27).
        let written = if name == "ES521" { "ES512" } else { &name };
        let alone: Algorithms = Algorithm::parse(written).into_iter().collect();
        key.algorithms = key.algorithms.and(alone);
        if key.algorithms.is_empty() {
            return Err(format!("its \"alg\" is \"{name}\", which it cannot verify"));
        }
    }
    key.kid = members.text("kid").map(|kid| kid.into());
    Ok(key)
}

fn parse_pem(text: &str) -> Result<KeySet, String> {
    const BEGIN: &str = "-----BEGIN ";
    let mut set = KeySet::default();
    let mut rest = text;
    while let Some(start) = rest.find(BEGIN) {
        let block = &rest[start..];
        // Never shown, unless it is one: a damaged file could have anything there, its key included.
        let label =
            block[BEGIN.len()..].lines().next().and_then(|line| line.trim_end().strip_suffix("-----"));
        let is_label =
            |text: &&str| text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ');
        let label = label.filter(is_label).ok_or("a \"-----BEGIN \" line in it is damaged")?;
        let end = format!("-----END {label}-----");
        let length = block.find(&end).ok_or_else(|| format!("\"{end}\" is missing"))? + end.len();
        let (block, after) = block.split_at(length);
        rest = after;
        let key = match label {
            "PUBLIC KEY" => PKey::public_key_from_pem(block.as_bytes()),
            "RSA PUBLIC KEY" => Rsa::public_key_from_pem_pkcs1(block.as_bytes()).and_then(PKey::from_rsa),
            "CERTIFICATE" => {
                X509::from_pem(block.as_bytes()).and_then(|certificate| certificate.public_key())
            }
            _ if label.ends_with("PRIVATE KEY") => {
                return Err("it is a private key: write the public one, which \"openssl pkey -in FILE -pubout\" prints".to_owned());
            }
            _ => return Err(format!("\"{label}\" is no public key")),
        };
        set.keys.push(Key::public(key.map_err(|_| format!("its {label} cannot be read"))?)?);
    }
    match set.keys.is_empty() {
        true => Err("it is neither a JWK Set nor a public key in PEM".to_owned()),
        false => Ok(set),
    }
}

impl Key {
    fn secret(secret: &[u8]) -> Result<Key, String> {
        let fits = |algorithm: &Algorithm| {
            // RFC 7518 section 3.2: no shorter than the code.
            algorithm.family() == Family::Hmac && secret.len() >= algorithm.digest().size()
        };
        let keys: Vec<_> = Algorithm::all()
            .filter(fits)
            .map(|algorithm| (algorithm, MacKey::new(algorithm.digest(), secret)))
            .collect();
        if keys.is_empty() {
            return Err(format!(
                "the secret has {} bytes, HS256 needs 32, HS384 48, HS512 64: make one with \"openssl rand -base64 48\"",
                secret.len()
            ));
        }
        let algorithms = keys.iter().map(|(algorithm, _)| *algorithm).collect();
        Ok(Key { kid: None, algorithms, material: Material::Secret(keys) })
    }

    fn public(key: PKey<Public>) -> Result<Key, String> {
        let families = match key.id() {
            Id::RSA => {
                let rsa = key.rsa().map_err(|_| "it is no valid RSA key")?;
                let bits = key.bits();
                if bits < RSA_BITS {
                    return Err(format!("its modulus has {bits} bits, and must have {RSA_BITS}"));
                }
                if !rsa.e().is_bit_set(0) || rsa.e().num_bits() < 2 {
                    return Err("its public exponent is not an odd number above 1".to_owned());
                }
                &[Family::RsaPkcs1, Family::RsaPss][..]
            }
            Id::EC => match key.ec_key().ok().and_then(|key| key.group().curve_name()) {
                Some(Nid::X9_62_PRIME256V1) => &[Family::Ecdsa(32)],
                Some(Nid::SECP384R1) => &[Family::Ecdsa(48)],
                Some(Nid::SECP521R1) => &[Family::Ecdsa(66)],
                _ => return Err("its curve is none of P-256, P-384 and P-521".to_owned()),
            },
            Id::ED25519 => &[Family::Ed25519],
            _ => return Err("its type is none of RSA, EC and Ed25519".to_owned()),
        };
        Ok(Key { kid: None, algorithms: Algorithms::of(families), material: Material::Public(key) })
    }

    /// The secret for one of the key's algorithms.
    pub fn mac(&self, algorithm: Algorithm) -> Option<&MacKey> {
        match &self.material {
            Material::Secret(keys) => keys.iter().find(|(known, _)| *known == algorithm).map(|(_, key)| key),
            Material::Public(_) => None,
        }
    }

    pub fn public_key(&self) -> Option<&PKey<Public>> {
        match &self.material {
            Material::Secret(_) => None,
            Material::Public(key) => Some(key),
        }
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Material::Secret(_) => "Secret",
            Material::Public(_) => "Public",
        })
    }
}
