package configsvc

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config oapi-codegen.yaml openapi.yaml
//go:generate go run pulseboard/tools/tstypes -types Dashboard,Summary,DashboardPage,MetricPage,Validation,VersionPage,Problem -o ../web/src/api/schemas.ts ../internal/service/problem.go api.gen.go
