module github.com/jsd-project/jsd

go 1.26
