// Moves a cluster to Microsoft Entra ID with Azure's SDK for Go, and prints what each step answered as JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	authorization "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	aks "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerservice/armcontainerservice/v6"
	"github.com/google/uuid"
)

const (
	clusterUser     = "4abbcc35-e782-43d8-92c5-2d3f1bd2253f"
	namespaceReader = "7f6c6a51-bcf8-42ba-9220-52d62157d7db"
)

type refusal struct {
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

type answers struct {
	Listed               []string                      `json:"listed"`
	WithoutEntra         *refusal                      `json:"withoutEntra"`
	AADProfile           *aks.ManagedClusterAADProfile `json:"aadProfile"`
	DisableLocalAccounts *bool                         `json:"disableLocalAccounts"`
	AdminCredentials     *refusal                      `json:"adminCredentials"`
	AfterRotation        *string                       `json:"afterRotation"`
	Kubelogin            bool                          `json:"kubelogin"`
	Roles                []string                      `json:"roles"`
}

func must[T any](found T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return found
}

func refusalOf(err error) *refusal {
	var response *azcore.ResponseError
	if !errors.As(err, &response) {
		log.Fatalf("no refusal: %v", err)
	}
	return &refusal{response.StatusCode, response.ErrorCode, response.Error()}
}

func main() {
	ctx, subscription := context.Background(), os.Getenv("AZURE_SUBSCRIPTION_ID")
	group, name, adminGroup, assignee := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	credential := must(azidentity.NewDefaultAzureCredential(nil))
	clusters := must(aks.NewManagedClustersClient(subscription, credential, nil))
	assignments := must(authorization.NewRoleAssignmentsClient(subscription, credential, nil))
	var found answers

	change := func(edit func(*aks.ManagedClusterProperties)) (aks.ManagedCluster, error) {
		cluster := must(clusters.Get(ctx, group, name, nil)).ManagedCluster
		edit(cluster.Properties)
		poller, err := clusters.BeginCreateOrUpdate(ctx, group, name, cluster, nil)
		if err != nil {
			return aks.ManagedCluster{}, err
		}
		done, err := poller.PollUntilDone(ctx, nil)
		return done.ManagedCluster, err
	}
	close := func(it *aks.ManagedClusterProperties) { it.DisableLocalAccounts = to.Ptr(true) }

	for pager := clusters.NewListPager(nil); pager.More(); {
		for _, cluster := range must(pager.NextPage(ctx)).Value {
			found.Listed = append(found.Listed, *cluster.Name)
		}
	}
	_, err := change(close)
	found.WithoutEntra = refusalOf(err)
	found.AADProfile = must(change(func(it *aks.ManagedClusterProperties) {
		it.AADProfile = &aks.ManagedClusterAADProfile{
			Managed: to.Ptr(true), EnableAzureRBAC: to.Ptr(true), AdminGroupObjectIDs: []*string{&adminGroup},
		}
	})).Properties.AADProfile
	found.DisableLocalAccounts = must(change(close)).Properties.DisableLocalAccounts
	_, err = clusters.ListClusterAdminCredentials(ctx, group, name, nil)
	found.AdminCredentials = refusalOf(err)
	rotation := must(clusters.BeginRotateClusterCertificates(ctx, group, name, nil))
	must(rotation.PollUntilDone(ctx, nil))
	cluster := must(clusters.Get(ctx, group, name, nil)).ManagedCluster
	found.AfterRotation = cluster.Properties.ProvisioningState
	user := must(clusters.ListClusterUserCredentials(ctx, group, name,
		&aks.ManagedClustersClientListClusterUserCredentialsOptions{Format: to.Ptr(aks.FormatExec)}))
	found.Kubelogin = strings.Contains(string(user.Kubeconfigs[0].Value), "kubelogin")
	for _, it := range [][2]string{{*cluster.ID, clusterUser}, {*cluster.ID + "/namespaces/shop", namespaceReader}} {
		scope, role := it[0], it[1]
		made := must(assignments.Create(ctx, scope, uuid.NewString(), authorization.RoleAssignmentCreateParameters{
			Properties: &authorization.RoleAssignmentProperties{
				RoleDefinitionID: to.Ptr("/subscriptions/" + subscription +
					"/providers/Microsoft.Authorization/roleDefinitions/" + role),
				PrincipalID: &assignee, PrincipalType: to.Ptr(authorization.PrincipalTypeGroup),
			},
		}, nil))
		found.Roles = append(found.Roles, *made.Properties.Scope)
	}
	json.NewEncoder(os.Stdout).Encode(found)
}
