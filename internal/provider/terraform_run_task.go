package provider

import (
	"net/http"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/verify"
)

func init() {
	register(&Preset{
		Name:    "terraform-run-task",
		Aliases: []string{"hcp-terraform-run-task"},
		Title:   "HCP Terraform run tasks",
		Doc: `X-Tfc-Task-Signature, HMAC-SHA512 of the body in hex. Key: task_result_id. Event: stage (post_plan). HCP Terraform wants 200 within
10 seconds, also for the request that checks the address, and then a call to the body's task_result_callback_url.`,
		Setup: `Organization → Settings → Run tasks → Create run task. Endpoint URL: the address of the hook; HMAC key: the hook's
secret. Start the daemon first.`,
		Source: "developer.hashicorp.com/terraform/cloud-docs/api-docs/run-tasks: Run task integration.",

		Verifier:    func() verify.Verifier { return hashed(signature("", "X-Tfc-Task-Signature"), "sha512") },
		Key:         fromPayload("task_result_id"),
		Event:       fromPayload("stage"),
		OnDuplicate: job.Skip,
		Accepted:    &Answer{Status: http.StatusOK},
		Samples: []Sample{
			{Name: "post_plan", Event: "post_plan", ContentType: contentJSON, Body: sample("terraform-run-task-post_plan.json")},
		},
		Address: address(inField("task_result_id"), inField("stage")),
	})
}
