#!/bin/sh
# Create the bucket, and a user with the permissions that the services need. Idempotent.
set -eu

mc --quiet alias set store http://minio:9000 \
  "$(cat /run/secrets/minio_root_user)" "$(cat /run/secrets/minio_root_password)"
mc mb --ignore-existing store/modelyard
mc anonymous set none store/modelyard

cat > /tmp/policy.json <<'JSON'
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
      "Resource": "arn:aws:s3:::modelyard/*"
    },
    {
      "Effect": "Allow",
      "Action": "s3:ListBucket",
      "Resource": "arn:aws:s3:::modelyard"
    }
  ]
}
JSON
user=$(cat /run/secrets/s3_access_key)
mc admin user add store "$user" "$(cat /run/secrets/s3_secret_key)"
mc admin policy create store modelyard-objects /tmp/policy.json
case $(mc admin policy entities store --user "$user") in
  *modelyard-objects*) ;; # a second time would be an error
  *) mc admin policy attach store modelyard-objects --user "$user" ;;
esac
