//! What endpoints run on: SageMaker. They are made by the execution, not by the stack, and stay when it goes.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::frameworks::{FRAMEWORKS, Image, Images, Registry};
use super::infra::{Resource, allow, document, get_att, reference, sub};
use super::jobs;
use super::limits::{AwsProblem, QUOTAS};
use super::roles::{self, SAGEMAKER};
use super::training::{self, BUCKET};
use crate::diagnostics::Problems;
use crate::model::{Endpoint, Kind, Pipeline, Runtime, Step, Variant};
use crate::targets::Artifacts;
use crate::targets::instances::{self, Instance};
use crate::targets::package::{SERVING, SERVING_MODULE};

/// What the containers of an endpoint may do.
pub const ROLE: &str = "ServingRole";
/// What definitions call its ARN.
pub const ROLE_ARN: &str = "ServingRoleArn";
/// The template's table of accounts.
const ACCOUNTS: &str = "ServingImages";
/// The folder of requests and answers that are kept, in the stack's bucket.
pub const CAPTURED: &str = "captured";
/// What SageMaker's images call, as they want it named.
pub const INFERENCE_MODULE: &str = "inference.py";
/// It, as it lies beside training code.
pub const INFERENCE: &str = include_str!("../../../targets/aws/inference.py");
/// Where endpoints write their logs.
const LOGS: &str = "/aws/sagemaker/Endpoints";
/// How many characters of the pipeline's name an endpoint's has: of 63, 20 are the endpoint's own, 12 the stack's, 2 dashes.
const PIPELINE: usize = 29;

/// A step that makes or updates an endpoint.
#[derive(Debug)]
pub struct Served<'a> {
    /// Its pipeline's place among them.
    pub member: usize,
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// The step.
    pub step: &'a Step,
    /// What it makes.
    pub endpoint: &'a Endpoint,
    /// What the logical ids of its images begin with.
    pub logical: String,
    /// What those of the endpoint begin with: the same for every step of that name.
    pub of_endpoint: String,
}

/// What a definition calls an endpoint and its images.
#[derive(Clone, Debug, Default)]
pub struct Called {
    /// SageMaker's name.
    pub name: String,
    /// The address.
    pub url: String,
    /// By variant, in order.
    pub images: Vec<String>,
}

impl Served<'_> {
    /// What definitions call it.
    pub fn called(&self) -> Called {
        Called {
            name: format!("{}Name", self.of_endpoint),
            url: format!("{}Url", self.of_endpoint),
            images: (1..=self.endpoint.variants.len())
                .map(|number| format!("{}{number}Uri", self.logical))
                .collect(),
        }
    }

    /// What the placeholders stand for. `root` is the name of the pipeline that the stack is of.
    pub fn substitutions(&self, root: &str) -> Vec<(String, Value)> {
        let called = self.called();
        let name = name(root, &self.endpoint.name);
        let url =
            format!("https://runtime.sagemaker.${{AWS::Region}}.${{AWS::URLSuffix}}/endpoints/{name}/invocations");
        let images = self.endpoint.variants.iter().map(|variant| self.image(variant));
        let mut found = vec![(called.name, with_stack(&name)), (called.url, with_stack(&url))];
        found.extend(called.images.into_iter().zip(images));
        found
    }

    /// The image of a variant, as a value of the template.
    fn image(&self, variant: &Variant) -> Value {
        match self.found(variant) {
            Some((images, image, gpu)) => json!({ "Fn::Sub": [
                format!("${{Account}}.dkr.ecr.${{AWS::Region}}.${{AWS::URLSuffix}}/{}:{}", images.repository, image.tag(gpu)),
                { "Account": account(images.registry) },
            ] }),
            None => json!(self.own_image()),
        }
    }

    /// The image of a framework, and whether it is to be that for GPUs.
    fn found(&self, variant: &Variant) -> Option<(&'static Images, &'static Image, bool)> {
        let Runtime::Framework(framework, version) = &self.endpoint.runtime else {
            return None;
        };
        let images = FRAMEWORKS.serving(*framework)?;
        let machine = machine(self.step, variant).ok();
        Some((
            images,
            images.pick(version)?,
            machine.is_some_and(|machine| machine.gpu.is_some()),
        ))
    }

    fn own_image(&self) -> Option<&str> {
        match &self.endpoint.runtime {
            Runtime::Image(image) => image.aws.as_deref(),
            Runtime::Framework(..) => None,
        }
    }

    fn registry(&self) -> Option<Registry> {
        let variant = self.endpoint.variants.first()?;
        self.found(variant).map(|(images, ..)| images.registry)
    }

    /// The ARN of the repository that its image is in, if that is in ECR.
    fn repository(&self) -> Option<Value> {
        match self.endpoint.variants.first().and_then(|variant| self.found(variant)) {
            Some((images, ..)) => Some(json!({ "Fn::Sub": [
                format!("arn:${{AWS::Partition}}:ecr:${{AWS::Region}}:${{Account}}:repository/{}", images.repository),
                { "Account": account(images.registry) },
            ] })),
            None => jobs::repository(self.own_image()?),
        }
    }
}

fn account(registry: Registry) -> Value {
    json!({ "Fn::FindInMap": [ACCOUNTS, reference("AWS::Region"), registry.column()] })
}

/// The endpoint of a step.
pub fn of(step: &Step) -> Option<&Endpoint> {
    match &step.kind {
        Kind::Endpoint(endpoint) => Some(endpoint),
        _ => None,
    }
}

/// What a variant runs on.
pub fn machine(step: &Step, variant: &Variant) -> Result<&'static Instance, AwsProblem> {
    jobs::machine_of(&instances::AWS.sagemaker_hosting, step, &variant.machines)
}

/// SageMaker's name of an endpoint, with `${Stack}` for what the stacks of an account differ in. ARNs have it in small letters.
pub fn name(root: &str, endpoint: &str) -> String {
    let root = training::prefix(root, "");
    let root = root.get(..PIPELINE).unwrap_or(&root);
    format!("{}-{endpoint}-${{Stack}}", root.trim_matches('-'))
}

/// The text with the last part of the number that each stack has.
pub fn with_stack(text: &str) -> Value {
    let number = json!({ "Fn::Select": [2, { "Fn::Split": ["/", reference("AWS::StackId")] }] });
    let last = json!({ "Fn::Select": [4, { "Fn::Split": ["-", number] }] });
    json!({ "Fn::Sub": [text, { "Stack": last }] })
}

/// What the names of its models and configurations begin with: a model's has a number of up to two characters more than a job's.
pub fn prefix(pipeline: &str, step: &str) -> String {
    let prefix = training::prefix(pipeline, step);
    prefix.get(..23).unwrap_or(&prefix).trim_end_matches('-').to_owned()
}

/// What keeps an endpoint off AWS.
pub fn check(step: &Step, endpoint: &Endpoint, problems: &mut Problems) {
    let span = Some(step.span);
    match &endpoint.runtime {
        Runtime::Image(image) if image.aws.is_none() => problems.push(AwsProblem::NoImage {
            step: step.path.clone(),
            span,
        }),
        Runtime::Image(_) => {}
        Runtime::Framework(framework, version) => match FRAMEWORKS.serving(*framework) {
            None => problems.push(AwsProblem::NotServed {
                step: step.path.clone(),
                framework: framework.name(),
                span,
            }),
            Some(images) if images.pick(version).is_none() => problems.push(AwsProblem::NoFramework {
                step: step.path.clone(),
                framework: framework.name(),
                version: version.clone(),
                known: images.versions(),
                span,
            }),
            Some(_) => {}
        },
    }
    for variant in &endpoint.variants {
        if let Err(problem) = machine(step, variant) {
            problems.push(problem);
        }
        if variant.name.ends_with('-') {
            problems.push(AwsProblem::VariantName {
                step: step.path.clone(),
                name: variant.name.clone(),
                span,
            });
        }
    }
    let most = QUOTAS.sagemaker.endpoint_variants;
    let found = u64::try_from(endpoint.variants.len()).unwrap_or(u64::MAX);
    if found > most {
        problems.push(AwsProblem::TooMuch {
            step: step.path.clone(),
            what: "the number of `endpoint.variants`",
            found,
            most,
            span,
        });
    }
}

/// The accounts of the images, where an endpoint has such an image.
pub fn mappings(endpoints: &[Served<'_>]) -> IndexMap<String, Value> {
    let mut used: Vec<Registry> = Vec::new();
    for registry in endpoints.iter().filter_map(Served::registry) {
        if !used.contains(&registry) {
            used.push(registry);
        }
    }
    if used.is_empty() {
        return IndexMap::new();
    }
    IndexMap::from([(ACCOUNTS.to_owned(), FRAMEWORKS.accounts_of(&used))])
}

/// True where requests to an endpoint are kept.
pub fn captures(endpoints: &[Served<'_>]) -> bool {
    endpoints.iter().any(|served| served.endpoint.captured)
}

/// What all endpoints share. `buckets` are the statements on reading the pipeline's buckets; `trains` is true where the
/// stack's bucket has models.
pub fn shared(endpoints: &[Served<'_>], buckets: Vec<Value>, trains: bool) -> IndexMap<String, Resource> {
    let objects = |rest: &str| sub(&format!("${{{BUCKET}.Arn}}/{rest}"));
    let logs = format!("arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:{LOGS}");
    let logs = vec![sub(&format!("{logs}/*")), sub(&format!("{logs}/*:*"))];
    let captures = captures(endpoints);
    let mut artifacts = Vec::new();
    if trains || captures {
        artifacts.push(allow(
            &["s3:GetBucketLocation", "s3:ListBucket"],
            vec![get_att(BUCKET, "Arn")],
        ));
    }
    artifacts.extend(trains.then(|| allow(&["s3:GetObject"], vec![objects("runs/*")])));
    artifacts.extend(captures.then(|| allow(&["s3:PutObject"], vec![objects(&format!("{CAPTURED}/*"))])));
    let variants = endpoints.iter().flat_map(|served| &served.endpoint.variants);
    let role = roles::role(
        SAGEMAKER,
        vec![
            ("Logs", roles::logging(logs, &[LOGS])),
            ("Artifacts", artifacts),
            ("Images", roles::pulls(endpoints.iter().filter_map(Served::repository))),
            ("Buckets", buckets),
            ("Models", training::reading(variants.map(|variant| &variant.model))),
        ],
    );
    let mut resources = IndexMap::from([(ROLE.to_owned(), role)]);
    if captures && !trains {
        resources.insert(
            BUCKET.to_owned(),
            Resource::of("AWS::S3::Bucket", super::infra::private_bucket()).kept("Retain"),
        );
    }
    resources
}

/// What bringing the endpoints of these steps into service takes (Service Authorization Reference, "Amazon SageMaker" and "AWS
/// Application Auto Scaling": what each action is allowed on).
pub fn deployment(endpoints: &[&Served<'_>], root: &str) -> Value {
    let place = "${AWS::Region}:${AWS::AccountId}";
    let once = |found: &mut Vec<Value>, resource: Value| {
        if !found.contains(&resource) {
            found.push(resource);
        }
    };
    let (mut parts, mut configs, mut whole, mut targets) = (Vec::new(), Vec::new(), Vec::new(), false);
    for served in endpoints {
        let prefix = prefix(served.pipeline, &served.step.path);
        let of = |kind: &str| format!("arn:${{AWS::Partition}}:sagemaker:{place}:{kind}");
        once(&mut parts, sub(&format!("{}/{prefix}-*", of("model"))));
        once(&mut configs, sub(&format!("{}/{prefix}-*", of("endpoint-config"))));
        once(
            &mut whole,
            with_stack(&format!("{}/{}", of("endpoint"), name(root, &served.endpoint.name))),
        );
        targets |= served.endpoint.autoscale.is_some();
    }
    let all = |lists: &[&Vec<Value>]| lists.iter().flat_map(|list| (*list).clone()).collect::<Vec<Value>>();
    let pass = json!({
        "Effect": "Allow",
        "Action": ["iam:PassRole"],
        "Resource": [get_att(ROLE, "Arn")],
        "Condition": { "StringEquals": { "iam:PassedToService": "sagemaker.amazonaws.com" } },
    });
    let mut scaling = vec!["application-autoscaling:DeregisterScalableTarget"];
    if targets {
        scaling.extend([
            "application-autoscaling:PutScalingPolicy",
            "application-autoscaling:RegisterScalableTarget",
        ]);
    }
    // Numbers of targets are made by the service: what they may scale is the condition.
    let scaling = json!({
        "Effect": "Allow",
        "Action": scaling,
        "Resource": [sub(&format!("arn:${{AWS::Partition}}:application-autoscaling:{place}:scalable-target/*"))],
        "Condition": { "StringEquals": { "application-autoscaling:service-namespace": "sagemaker" } },
    });
    let mut statements = vec![
        allow(&["sagemaker:AddTags"], all(&[&parts, &configs, &whole])),
        allow(&["sagemaker:CreateModel"], parts),
        allow(&["sagemaker:CreateEndpointConfig"], configs.clone()),
        allow(
            &["sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"],
            all(&[&whole, &configs]),
        ),
        allow(
            &["sagemaker:DeleteEndpoint", "sagemaker:DescribeEndpoint"],
            whole.clone(),
        ),
        pass,
        scaling,
    ];
    if targets {
        // Application Auto Scaling User Guide, "Identity-based policy examples": what registering a variant takes. The role is what
        // scales in the account's name, made by the first target of the account.
        statements.push(allow(&["sagemaker:DescribeEndpointConfig"], configs));
        statements.push(allow(&["sagemaker:UpdateEndpointWeightsAndCapacities"], whole));
        let role = "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint";
        statements.push(json!({
            "Effect": "Allow",
            "Action": ["iam:CreateServiceLinkedRole"],
            "Resource": [sub(role)],
            "Condition": { "StringLike": { "iam:AWSServiceName": "sagemaker.application-autoscaling.amazonaws.com" } },
        }));
        statements.push(allow(
            &[
                "cloudwatch:DeleteAlarms",
                "cloudwatch:DescribeAlarms",
                "cloudwatch:PutMetricAlarm",
            ],
            vec![sub(&format!(
                "arn:${{AWS::Partition}}:cloudwatch:{place}:alarm:TargetTracking-*"
            ))],
        ));
    }
    document(statements)
}

/// Adds `serving/code/…`: what a model that no training of this made needs beside it.
pub fn add(pipeline: &Pipeline, artifacts: &mut Artifacts) {
    let mut endpoints = pipeline.steps.iter().filter_map(of);
    if endpoints.any(|endpoint| matches!(endpoint.runtime, Runtime::Framework(..))) {
        artifacts.text(format!("serving/code/{INFERENCE_MODULE}"), INFERENCE);
        artifacts.text(format!("serving/code/{SERVING_MODULE}"), SERVING);
    }
}
