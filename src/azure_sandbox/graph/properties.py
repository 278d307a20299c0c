"""Which properties each type of directory object has in Graph v1.0, and which of them the sandbox does not model.

Source: the resource pages of Graph v1.0 (user, group, servicePrincipal, application).
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]
USER_DEFAULTS = (
    *("businessPhones", "displayName", "givenName", "id", "jobTitle", "mail", "mobilePhone", "officeLocation"),
    *("preferredLanguage", "surname", "userPrincipalName"),
)
USER_SELECTABLE: Document = {  # shown only with `$select`; the value of a user for whom nobody set one
    "ageGroup": None,
    "assignedLicenses": [],
    "assignedPlans": [],
    "city": None,
    "companyName": None,
    "consentProvidedForMinor": None,
    "country": None,
    "creationType": None,
    "deletedDateTime": None,
    "department": None,
    "employeeHireDate": None,
    "employeeId": None,
    "employeeOrgData": None,
    "employeeType": None,
    "externalUserState": None,
    "externalUserStateChangeDateTime": None,
    "faxNumber": None,
    "imAddresses": [],
    "isResourceAccount": None,
    "legalAgeGroupClassification": None,
    "licenseAssignmentStates": [],
    "onPremisesDistinguishedName": None,
    "onPremisesDomainName": None,
    "onPremisesExtensionAttributes": dict.fromkeys(f"extensionAttribute{it}" for it in range(1, 16)),
    "onPremisesImmutableId": None,
    "onPremisesLastSyncDateTime": None,
    "onPremisesProvisioningErrors": [],
    "onPremisesSamAccountName": None,
    "onPremisesSecurityIdentifier": None,
    "onPremisesSyncEnabled": None,
    "onPremisesUserPrincipalName": None,
    "otherMails": [],
    "passwordPolicies": None,
    "passwordProfile": None,
    "postalCode": None,
    "preferredDataLocation": None,
    "provisionedPlans": [],
    "proxyAddresses": [],
    "serviceProvisioningErrors": [],
    "showInAddressList": None,
    "state": None,
    "streetAddress": None,
    "usageLocation": None,
}
USER_WRITABLE = frozenset(
    {
        *("accountEnabled", "displayName", "mailNickname", "userPrincipalName", "passwordProfile", "userType"),
        *("businessPhones", "givenName", "jobTitle", "mail", "mobilePhone", "officeLocation", "preferredLanguage"),
        *("surname", "ageGroup", "city", "companyName", "consentProvidedForMinor", "country", "department"),
        *("employeeHireDate", "employeeId", "employeeOrgData", "employeeType", "faxNumber", "onPremisesImmutableId"),
        *("onPremisesExtensionAttributes", "otherMails", "passwordPolicies", "postalCode", "showInAddressList"),
        *("state", "streetAddress", "usageLocation"),
    }
)
GROUP_SELECTABLE: Document = {
    "assignedLabels": [],
    "assignedLicenses": [],
    "isManagementRestricted": None,
    "licenseProcessingState": None,
}
NOT_MODELLED = frozenset(  # real properties for which any value would be a guess
    {
        # of users
        *("aboutMe", "authorizationInfo", "birthday", "cloudRealtimeCommunicationInfo", "customSecurityAttributes"),
        *("deviceEnrollmentLimit", "hireDate", "identities", "interests", "lastPasswordChangeDateTime"),
        *("mailboxSettings", "mySite", "pastProjects", "preferredName", "print", "responsibilities", "schools"),
        *("refreshTokensValidFromDateTime", "signInActivity", "signInSessionsValidFromDateTime", "skills"),
        # of groups
        *("allowExternalSenders", "autoSubscribeNewMembers", "hasMembersWithLicenseErrors", "hideFromAddressLists"),
        *("hideFromOutlookClients", "infoCatalogs", "isArchived", "isFavorite", "isSubscribedByMail"),
        *("unseenConversationsCount", "unseenCount", "unseenMessagesCount", "writebackConfiguration"),
        # of service principals and applications
        *("applicationTemplate", "appManagementPolicies", "authenticationBehaviors", "errorUrl", "logo"),
        *("isAuthorizationServiceEnabled", "nativeAuthenticationApisEnabled", "publishedPermissionScopes"),
        *("requestSignatureVerification", "samlMetadataUrl", "servicePrincipalLockConfiguration"),
    }
)
NO_INFO = dict.fromkeys(("logoUrl", "marketingUrl", "privacyStatementUrl", "supportUrl", "termsOfServiceUrl"))
NOT_VERIFIED = dict.fromkeys(("displayName", "verifiedPublisherId", "addedDateTime"))
SERVICE_PRINCIPAL_WRITABLE = frozenset(
    {
        *("accountEnabled", "addIns", "alternativeNames", "appRoleAssignmentRequired", "description", "displayName"),
        *("loginUrl", "notes", "notificationEmailAddresses", "preferredSingleSignOnMode", "replyUrls"),
        *("samlSingleSignOnSettings", "tags", "keyCredentials", "appRoles", "homepage", "logoutUrl"),
    }
)
APPLICATION: Document = {  # of an application for which nobody set more than its name
    "applicationTemplateId": None,
    "disabledByMicrosoftStatus": None,
    "description": None,
    "groupMembershipClaims": None,
    "identifierUris": [],
    "isDeviceOnlyAuthSupported": None,
    "isFallbackPublicClient": None,
    "notes": None,
    "serviceManagementReference": None,
    "signInAudience": "AzureADandPersonalMicrosoftAccount",
    "tags": [],
    "tokenEncryptionKeyId": None,
    "defaultRedirectUri": None,
    "certification": None,
    "optionalClaims": None,
    "addIns": [],
    "api": {
        "acceptMappedClaims": None,
        "knownClientApplications": [],
        "requestedAccessTokenVersion": 2,
        "oauth2PermissionScopes": [],
        "preAuthorizedApplications": [],
    },
    "appRoles": [],
    "info": NO_INFO,
    "parentalControlSettings": {"countriesBlockedForMinors": [], "legalAgeGroupRule": "Allow"},
    "publicClient": {"redirectUris": []},
    "requiredResourceAccess": [],
    "verifiedPublisher": NOT_VERIFIED,
    "web": {
        "homePageUrl": None,
        "logoutUrl": None,
        "redirectUris": [],
        "implicitGrantSettings": {"enableAccessTokenIssuance": False, "enableIdTokenIssuance": False},
    },
    "spa": {"redirectUris": []},
}
_APPLICATION_FIXED = {"applicationTemplateId", "disabledByMicrosoftStatus", "certification", "verifiedPublisher"}
APPLICATION_WRITABLE = frozenset(APPLICATION) - _APPLICATION_FIXED | {"displayName", "keyCredentials"}
APPLICATION_PROPERTIES = frozenset(APPLICATION) | {
    *("id", "deletedDateTime", "appId", "createdDateTime", "displayName", "publisherDomain"),
    *("keyCredentials", "passwordCredentials"),
}
