# sh status.sh NAME: what Snakemake wants to know of a Job: success, failed or running.
if counts=$(kubectl get job "$1" --ignore-not-found --output 'jsonpath={.status.succeeded},{.status.failed}'); then
    case "$counts" in
        1,*) echo success ;;
        ,) echo running ;;
        *) echo failed ;;  # or gone
    esac
else
    echo running  # nobody answered: asked again
fi
