"""The least that asks the question with requests."""

import os

import requests

response = requests.get(
    os.environ["APIMART_BASE_URL"] + "/v1/balance",
    headers={"Authorization": "Bearer " + os.environ["APIMART_API_KEY"]},
    timeout=10,
)
print(response.json()["remain_balance"])
