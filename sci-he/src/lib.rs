//! Linear layers by lattice homomorphic encryption: exact, with circuit privacy.
//!
//! The client holds a share x_1 of a tensor and a secret key, the server a share x_0 and weights W
//! with a public bound. The client sends RLWE encryptions of x_1; the server adds x_0, multiplies by
//! plaintext polynomials that hold W, and answers with encryptions of W·(x_0 + x_1) - r for a fresh
//! uniform r, which is its share of the output. The client's is the decryption. All of it is modulo
//! t = 2^l (l in 1..=64) or n, and no result is ever off by one: [`params`] computes a modulus that
//! makes a decryption failure rarer than 2^-64 a coefficient, or refuses.
//!
//! * [`params`]: parameters from l, the weight bound, the terms and the privacy; the noise budget.
//! * [`cipher`]: the RLWE layer, over `tfhe-ntt`.
//! * [`packing`]: many responses with few wanted coefficients become one.
//! * [`coefficient`]: convolution and its relatives by coefficient placement.
//! * [`session`]: the keys, once for all layers of a program.
//! * [`simd`]: the same over Z_n in batched slots, with rotations: the original SCI-HE.
//!
//! ```
//! use sci_core::geometry::{ConvGeometry, ConvSpec, Window};
//! use sci_core::{Domain, Prg, Ring, Shares};
//! use sci_he::coefficient::{Layer, Weights, run_client, run_server};
//! use sci_he::params::Privacy;
//! use sci_he::session::{ClientKeys, ServerKeys, Setup};
//! let ring = Ring::new(37)?;
//! let geometry = ConvGeometry::new(ConvSpec {
//!     batch: 1,
//!     in_channels: 1,
//!     out_channels: 1,
//!     groups: 1,
//!     input: [1, 2, 2],
//!     window: Window::new([1, 2, 2]),
//! })?;
//! // Both parties plan the layer from public values; only the server has weights.
//! let layer = Layer::conv(&geometry, ring, 7, Privacy::default())?;
//! let setup = Setup::new([&layer]);
//! let (server, client) = sci_core::testing::run_pair(
//!     |mut session| {
//!         let (stream, mut prg) = (session.stream(), Prg::from_os()?);
//!         let weights = Weights::prepare(&layer, vec![1, -2, 3, 7])?;
//!         let keys = ServerKeys::receive(stream, &setup)?;
//!         let share = Shares::new(ring, vec![10; 4])?;
//!         run_server(stream, &layer, &keys, &weights, &share, &mut prg)
//!     },
//!     |mut session| {
//!         let (stream, mut prg) = (session.stream(), Prg::from_os()?);
//!         let keys = ClientKeys::send(stream, &setup, &mut prg)?;
//!         let share = Shares::new(ring, vec![1, 2, 3, 4])?;
//!         run_client(stream, &layer, &keys, &share, &mut prg)
//!     },
//! );
//! let sum = ring.add(server?.values()[0], client?.values()[0]);
//! assert_eq!(ring.to_signed(sum), 11 - 2 * 12 + 3 * 13 + 7 * 14);
//! # Ok::<(), sci_core::Error>(())
//! ```
//!
//! # Circuit privacy
//!
//! *Claim.* Let the client follow the protocol. Its view of a run with at most 2^m response
//! coefficients can be simulated from its own input and output shares alone, up to a statistical
//! distance of 2^-40 ([`params::Privacy::Run`] with `log2_outputs` = m; 2^-40 a coefficient and so 2^(m-40)
//! a run with [`params::Privacy::Coefficient`]) and the advantage against RLWE.
//!
//! *Order of operations.* Every sum of products that will be sent, alone or packed, is first made modulo q
//! as
//!
//! ```text
//! c1 = sum_i w_i·a_i + a·u + e2
//! c0 = sum_i w_i·b_i + b·u + f - round(q·r/t)      at the wanted coefficients only
//! ```
//!
//! where (b_i, a_i) are the requests with x_0 added, (b, a) is the public key, u is ternary, e2 an
//! error polynomial, f a [flooding](params::Flood) value and r uniform modulo t at each wanted
//! coefficient: all four fresh for every sum. Only then are c0 and c1 rescaled, [packed](packing) with
//! others and shortened, which is a public function of them and of public keys and can give nothing
//! away. The unwanted coefficients of c0 are dropped before that.
//!
//! *Proof.* Let s be the secret, and g the error of what the client decrypts before f is added, that
//! is w·(errors and roundings of the requests) + e·u + e2·s, e the error of the public key, and the
//! rounding of r. Roundings are those of both shares and that of c0 to [fewer bits](params), whose dither is
//! public but as random, and as independent of shares and weights, as the errors are.
//!
//! 1. The wanted coefficients of c0 are fixed by c1, s, the plaintext W·x - r and g + f. Replace g + f
//!    by f. The root mean square of g over the coins of the request errors, of the randomised roundings
//!    of both shares and of c0, of e, u and e2 is at most the G of [`params`], whatever the shares and the weights
//!    are, since all of these are independent and have mean zero. By the lemma of [`params::Flood`], which
//!    allows each layer to depend on all earlier ones, all replacements together cost at most 2^-40:
//!    a layer with n coefficients adds at most n·2^-(m+80) to the square of the distance (with one fold,
//!    n·2^-(m+40) to the distance itself). No tail bound enters here. This is also where u and e2 leave everything but c1, and why c0 needs no
//!    Gaussian error of its own.
//! 2. Now c1 = (a fixed polynomial of the weights) + a·u + e2, where (a, a·u + e2) is an RLWE sample
//!    with the secret u, which nothing else in the view depends on. Replace c1 by a uniform
//!    polynomial, once for each sum.
//! 3. The plaintext W·x - r is the client's output share; r being uniform, it is the output of the
//!    ideal functionality. What is left does not mention W. ∎
//!
//! Without step 2, c1 would be a linear system for the weights (the client knows every a_i); without
//! step 1, so would the errors. Tests take either away and see the difference. The bound on the
//! weights, the number of terms, every size, count and plan come from public data: an all-zero filter
//! is a filter like any other, and no branch or address depends on a weight, a share or a key. A
//! ciphertext cannot be transparent in the uniform half, since that is expanded from a seed.
//!
//! *Outside of the claim.* A client that deviates may choose its requests, public key and seeds as it
//! likes; the whole workspace is semi-honest.
//!
//! # Security of the client
//!
//! RLWE with a uniform ternary secret and centred binomial errors of standard deviation 3.24, at most
//! the modulus that [`params::SECURITY`] allows for 128 bits: the stricter of the 2018 standard and the 2024
//! guidelines. One secret for each degree serves a session; public keys, packing keys and requests draw
//! their uniform halves and errors anew. Packing keys encrypt images of the secret under itself
//! (circular security).
//!
//! # Why `tfhe-ntt`
//!
//! Of the transforms that run on stable Rust it was the fastest measured for this class of machine,
//! with AVX-512, AVX2 and portable code chosen at run time. It has no ciphertexts; the crates that do
//! lack seeded requests, plaintexts kept in transformed form, writable coefficients or flooding.
//! Primes stay below 2^28, so that 256 products fit a 64-bit sum and a product-and-add is one
//! vectorised loop. Its licence is BSD-3-Clause-Clear, which grants no patent rights.
//!
//! Tests hold encryption, products, decryption, slots and rotations against the independent BFV of the crate
//! `fhe`, with the same secrets and ciphertexts, in both directions.
//!
//! # What was measured
//!
//! `cargo bench -p sci-he --bench layers` prints CPU seconds, bytes and the fill of the responses for six
//! layers of ResNet50 beside the reference figures. All 54 layers with 37-bit shares and 12-bit weights
//! take 0.338 GB with the keys, their responses filled to 73 %. What limits the large planes is that 56x56
//! outputs fill 49/64 of any power of two, and that packing wants a pitch which powers of two divide:
//!
//! * 56x56x64 by 3x3 to 64 channels takes 5.74 MiB. A tile of 28x28 outputs reads 30x30 positions, of
//!   which N = 8192 coefficients hold nine channels; the pitch is 8, so that four leaves share a response: 32
//!   requests of 106 bits a coefficient (3.31 MiB) and 32 responses (2.43 MiB). Nine channels of whatever
//!   tiles to a request would make 29 of them and save 0.31 MiB, but outputs at multiples of 9 cannot
//!   be packed: 128 responses, and 4.4 MiB more.
//! * 56x56x64 by 1x1 to 256 channels takes 12.86 MiB: 32 requests and 128 responses of 784 outputs a leaf. Seven
//!   tiles of 448 positions and a pitch of 16 would make 28 and 112 of them, 11.7 MiB, but 1792 leaves
//!   rather than 256, each with a fresh encryption of zero and a step of packing, which the plan reckons
//!   at 0.26 and 0.23 ms: 0.8 s more, where the whole layer takes 0.3 s.

mod broadcast;
pub mod cipher;
pub mod coefficient;
mod kernels;
mod modulus;
#[cfg(test)]
mod oracle;
pub mod packing;
pub mod params;
mod phases;
mod pool;
mod sample;
pub mod session;
pub mod simd;
mod wipe;
mod wire;
mod workers;
