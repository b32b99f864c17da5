"""Orders over HTTP: Django and gunicorn on a replica, in one file.

    pip install django gunicorn dist/sqlite_replica-*.whl
    REPLICA_URL=http://127.0.0.1:8080 gunicorn -c gunicorn_conf.py django_app:app
"""

import json
import os

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import DatabaseError, IntegrityError, connection, models
from django.http import JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    DATABASES={
        "default": {
            "ENGINE": "sqlite_replica.django",
            "NAME": os.environ.get("APP_DB", "app.db"),
            # A connection stays with its thread, so an attach is made once.
            "CONN_MAX_AGE": None,
            "OPTIONS": {"sync_url": os.environ["REPLICA_URL"], "options": {"timeout": 5}},
        }
    },
)
django.setup()


class Order(models.Model):
    item = models.TextField(unique=True)

    class Meta:
        app_label, db_table = "shop", "orders"


def orders(request):
    try:
        if request.method == "POST":
            order = Order.objects.create(item=json.loads(request.body)["item"])
            return JsonResponse({"id": order.id}, status=201)
        return JsonResponse(list(Order.objects.order_by("id").values_list("item", flat=True)), safe=False)
    except IntegrityError as error:
        return JsonResponse({"error": str(error)}, status=409)
    except DatabaseError as error:
        return JsonResponse({"error": str(error)}, status=503)


def health(request):
    with connection.cursor() as cursor:
        healthy, trouble = cursor.execute("SELECT healthy, trouble FROM replica_health(NULL, 15)").fetchone()
    return JsonResponse({"trouble": trouble}, status=200 if healthy else 503)


urlpatterns = [path("orders", orders), path("health", health)]
app = get_wsgi_application()
